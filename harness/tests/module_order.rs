//! The harness's modules import only from those above them in `lib.rs`, and its words stay where they belong.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the crate") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                found.push((path, text));
            }
        }
    }
    found
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Position of each module in `lib.rs`.
fn order() -> BTreeMap<String, usize> {
    let text = fs::read_to_string(src().join("lib.rs")).expect("lib.rs");
    let names = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names
        .enumerate()
        .map(|(position, name)| (name.to_owned(), position))
        .collect()
}

/// The modules that a text names after `crate::`, also inside braces.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (start, _) in text.match_indices("crate::") {
        let rest = &text[start + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let mut depth = 0_usize;
                let mut word = String::new();
                let mut takes = true;
                for letter in list.chars() {
                    match letter {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => takes = true,
                        _ if (letter.is_alphanumeric() || letter == '_') && depth == 0 && takes => {
                            word.push(letter);
                            continue;
                        }
                        _ => {}
                    }
                    if !word.is_empty() {
                        found.push(std::mem::take(&mut word));
                        takes = letter == ',' && depth == 0;
                    }
                }
                if !word.is_empty() {
                    found.push(word);
                }
            }
            None => {
                let end = rest.find(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
                found.push(rest[..end.unwrap_or(rest.len())].to_owned());
            }
        }
    }
    found
}

#[test]
fn modules_import_only_downwards() {
    let order = order();
    assert!(order.len() > 10, "lib.rs lists the modules");
    let mut wrong = Vec::new();
    for (path, text) in sources(&src()) {
        let relative = path.strip_prefix(src()).expect("inside src");
        let first = relative
            .components()
            .next()
            .expect("a name")
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        let module = first.trim_end_matches(".rs").to_owned();
        let Some(position) = order.get(&module) else {
            continue;
        };
        for import in imports(&text) {
            if order
                .get(&import)
                .is_some_and(|imported| imported > position)
            {
                wrong.push(format!(
                    "{}: {module} uses {import}, which stands below it",
                    relative.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn imports_are_read_from_both_ways_of_writing_them() {
    assert_eq!(imports("use crate::drill::Run;"), ["drill"]);
    assert_eq!(
        imports("use crate::{\n    drill::{Run, Drill},\n    fault,\n    testbed::local,\n};"),
        ["drill", "fault", "testbed"]
    );
}

/// A text without its comments, its strings and its tests: examples and messages may speak of the system.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    // Raw strings end at `"#`; the quotes inside them are turned into plain ones first.
    let text = lines.collect::<Vec<_>>().join("\n");
    let pieces =
        text.split("r#\"")
            .enumerate()
            .map(|(index, piece)| match piece.split_once("\"#") {
                Some((_, rest)) if index > 0 => rest,
                _ => piece,
            });
    let text: String = pieces.collect();
    let mut code = String::new();
    let mut inside = false;
    let mut escaped = false;
    for letter in text.chars() {
        match letter {
            '"' if !escaped => inside = !inside,
            _ if !inside => code.push(letter),
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
    }
    code
}

/// What the system under test is about is known in few places only; a second system is a second folder.
#[test]
fn only_a_few_modules_know_what_the_system_is_about() {
    let may = [
        "system",
        "steps",
        "workload",
        "catalogue.rs",
        "drill",
        "report",
        "feature",
        "prove",
        "cli",
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources(&src()) {
        let relative = path.strip_prefix(src()).expect("inside src");
        let first = relative
            .components()
            .next()
            .expect("a name")
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        if may.contains(&first.as_str()) {
            continue;
        }
        let code = code_of(&text).to_lowercase();
        for word in ["payment", "inventory", "stock_", "orderline"] {
            if code.contains(word) {
                wrong.push(format!("{}: {word}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A sleep in a step waits for nothing in particular.
#[test]
fn no_step_sleeps() {
    for (path, text) in sources(&src().join("steps")) {
        assert!(!text.contains("sleep("), "{} sleeps", path.display());
    }
}
