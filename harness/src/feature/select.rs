//! Which scenarios are meant: files, folders, `FILE:LINE`, and tags.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Feature, TagExpression, Vocabulary, load};
use crate::diagnostic::{Diagnostic, Diagnostics, nearest, shown_path};

/// Ending of feature files.
const EXTENSION: &str = "feature";

/// Loads the features that `arguments` name and keeps the scenarios that are meant.
///
/// An argument is a feature file, a folder with feature files at any depth, or `FILE:LINE` for the scenario around that
/// line. Features without a chosen scenario are left out.
///
/// # Errors
/// An argument names nothing, a file has mistakes, the tags cannot be understood, or nothing at all is chosen.
pub fn select(
    arguments: &[String],
    tags: Option<&str>,
    vocabulary: &Vocabulary<'_>,
) -> Result<Vec<Feature>, Diagnostics> {
    let mut found = Vec::new();
    let files = find_files(arguments).unwrap_or_else(|Diagnostics(more)| {
        found.extend(more);
        BTreeMap::new()
    });
    let expression = tags
        .map(|text| TagExpression::parse(text, vocabulary))
        .transpose();
    let expression = expression.unwrap_or_else(|Diagnostics(more)| {
        found.extend(more);
        None
    });
    let paths: Vec<PathBuf> = files.keys().cloned().collect();
    let features = load(&paths, vocabulary).unwrap_or_else(|Diagnostics(more)| {
        found.extend(more);
        Vec::new()
    });
    Diagnostics::unless_empty((), found)?;

    let mut missed = Vec::new();
    let mut chosen = Vec::new();
    for (feature, (path, lines)) in features.iter().zip(&files) {
        missed.extend(
            lines
                .iter()
                .flatten()
                .filter_map(|line| nothing_at(feature, path, *line)),
        );
        let kept = feature.only(|scenario| {
            let here = match lines {
                None => true,
                Some(lines) => lines.iter().any(|line| stands_at(feature, scenario, *line)),
            };
            let tagged = expression
                .as_ref()
                .is_none_or(|wanted| wanted.matches(&scenario.tags));
            here && tagged
        });
        if !kept.scenarios.is_empty() {
            chosen.push(kept);
        }
    }
    if chosen.is_empty() && missed.is_empty() {
        missed.push(nothing_chosen(&features, arguments, tags));
    }
    Diagnostics::unless_empty(chosen, missed)
}

/// The feature files that arguments name, with the lines that were asked for; none means the whole file.
///
/// # Errors
/// An argument names nothing.
pub fn find_files(
    arguments: &[String],
) -> Result<BTreeMap<PathBuf, Option<Vec<usize>>>, Diagnostics> {
    let mut files: BTreeMap<PathBuf, Option<Vec<usize>>> = BTreeMap::new();
    let mut found = Vec::new();
    for argument in arguments {
        let (path, line) = split_line(argument);
        let path = Path::new(path);
        if path.is_file() {
            let lines = files
                .entry(path.to_owned())
                .or_insert_with(|| Some(Vec::new()));
            match (line, lines.as_mut()) {
                (Some(line), Some(lines)) => lines.push(line),
                (None, _) => *lines = None,
                (Some(_), None) => {}
            }
        } else if path.is_dir() {
            let mut inside = Vec::new();
            walk(path, &mut inside);
            if inside.is_empty() {
                let message = "there is no feature file in this folder";
                let remedy = format!("feature files end in `.{EXTENSION}`");
                found.push(Diagnostic::whole(shown_path(path), message, Some(remedy)));
            }
            for file in inside {
                files.insert(file, None);
            }
        } else {
            found.push(nothing_there(path));
        }
    }
    Diagnostics::unless_empty(files, found)
}

/// `FILE:LINE`, or `FILE` alone.
fn split_line(argument: &str) -> (&str, Option<usize>) {
    match argument.rsplit_once(':') {
        Some((path, line)) => match line.parse() {
            Ok(line) => (path, Some(line)),
            Err(_) => (argument, None),
        },
        None => (argument, None),
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|end| end == EXTENSION) {
            files.push(path);
        }
    }
}

fn stands_at(feature: &Feature, scenario: &super::Scenario, line: usize) -> bool {
    let row_is_meant = feature.scenarios.iter().any(|other| other.line == line);
    match row_is_meant {
        true => scenario.line == line,
        false => (scenario.lines.0..=scenario.lines.1).contains(&line),
    }
}

fn nothing_at(feature: &Feature, path: &Path, line: usize) -> Option<Diagnostic> {
    let hit = feature
        .scenarios
        .iter()
        .any(|scenario| stands_at(feature, scenario, line));
    (!hit).then(|| {
        let nearest = feature
            .scenarios
            .iter()
            .min_by_key(|scenario| scenario.line.abs_diff(line));
        Diagnostic {
            line,
            ..Diagnostic::whole(
                shown_path(path),
                "no scenario stands at this line",
                nearest.map(|one| format!("the nearest is `{}` at line {}", one.name, one.line)),
            )
        }
    })
}

fn nothing_there(path: &Path) -> Diagnostic {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let remedy = nearest(&name, beside.iter().map(String::as_str))
        .map(|meant| format!("did you mean `{}`?", path.with_file_name(meant).display()))
        .or_else(|| Some("name a feature file, a folder, or FILE:LINE".to_owned()));
    Diagnostic::whole(shown_path(path), "there is no such file or folder", remedy)
}

fn nothing_chosen(features: &[Feature], arguments: &[String], tags: Option<&str>) -> Diagnostic {
    let known: usize = features.iter().map(|feature| feature.scenarios.len()).sum();
    match tags {
        Some(tags) => Diagnostic::whole(
            "--tags",
            format!("none of {known} scenarios fits `{tags}`"),
            Some("`firedrill lint` reads them all; see their tags in the feature files".to_owned()),
        ),
        None => Diagnostic::whole(
            arguments.join(" "),
            "no scenario was chosen",
            Some("name a feature file, a folder, or FILE:LINE".to_owned()),
        ),
    }
}
