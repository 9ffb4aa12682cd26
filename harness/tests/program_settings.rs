//! What the programs of the pipeline can be told: each says so itself, the READMEs repeat it, and the topology says nothing
//! to a program that it would not hear.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, LazyLock},
};

use firedrill::testbed::local::build::{Progress, build};
use firedrill::testbed::local::processes::Processes;
use firedrill::topology::{Program, TemplatePart, Topology};

/// What a program ends with when its command line is wrong.
const EXIT_USAGE: i32 = 64;
/// The heading of the part of a README that is generated; it reaches to the next one of its kind.
const HEADING: &str = "\n## Settings\n";

/// What one component says about its settings.
#[derive(Debug)]
struct Help {
    package: String,
    component: String,
    /// Lines of tables, by the name of the group; those of the program's own have none.
    tables: BTreeMap<String, Vec<String>>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

static TOPOLOGY: LazyLock<Topology> = LazyLock::new(|| {
    Topology::load(&root().join("system-under-test/topology.toml")).expect("the topology is good")
});

static HELP: LazyLock<Vec<Help>> = LazyLock::new(|| {
    let components = TOPOLOGY.components.iter();
    components
        .filter_map(|(name, component)| {
            let Program::Cargo { package } = &component.program else {
                return None;
            };
            let output = run(package, &role_of(name), "--help");
            assert!(output.status.success(), "{name}: {output:?}");
            Some(Help {
                package: package.clone(),
                component: name.clone(),
                tables: tables(&String::from_utf8_lossy(&output.stdout)),
            })
        })
        .collect()
});

/// What chooses the role of a component on its command line.
fn role_of(component: &str) -> Vec<String> {
    let arguments = TOPOLOGY.components[component].arguments.iter();
    let parts = arguments.flat_map(|argument| &argument.parts);
    let texts = parts.map(|part| match part {
        TemplatePart::Text(text) => text.clone(),
        other => panic!("an argument of a program of ours has a placeholder: {other:?}"),
    });
    texts.collect()
}

/// The programs of our packages, built as a drill builds them.
static PROGRAMS: LazyLock<BTreeMap<String, PathBuf>> = LazyLock::new(|| {
    let components = TOPOLOGY.components.values();
    let packages = components
        .filter_map(|component| match &component.program {
            Program::Cargo { package } => Some(package.clone()),
            _ => None,
        })
        .collect();
    let built = async {
        let processes = Processes::start().expect("a keeper");
        let silent: Progress = Arc::new(|_: &str| {});
        build(&processes, &packages, &root(), &silent).await
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(built).expect("the programs")
});

fn run(package: &str, role: &[String], argument: &str) -> Output {
    Command::new(&PROGRAMS[package])
        .args(role)
        .arg(argument)
        .output()
        .expect("the program runs")
}

/// The tables of a help text: each stands under the name of its group, the first under none.
fn tables(help: &str) -> BTreeMap<String, Vec<String>> {
    let mut group = String::new();
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in help.lines() {
        if line.starts_with('|') {
            tables
                .entry(group.clone())
                .or_default()
                .push(line.to_owned());
        } else if let Some(name) = line.strip_suffix(':') {
            group = name.to_owned();
        }
    }
    tables
}

/// The names in the first column of tables.
fn names<'a>(tables: impl Iterator<Item = &'a Vec<String>>) -> BTreeSet<String> {
    let cells = tables.flatten().filter_map(|line| line.split('`').nth(1));
    cells.map(str::to_owned).collect()
}

/// What the README of a package says about settings.
fn section(package: &str) -> String {
    let of_package: Vec<_> = HELP.iter().filter(|help| help.package == package).collect();
    let own: BTreeSet<_> = of_package.iter().map(|help| help.tables.get("")).collect();
    let mut text = String::from("\nAs the program itself says with `--help`:\n");
    for help in &of_package {
        if own.len() > 1 {
            text.push_str(&format!("\n### Settings of the {}\n", help.component));
        } else if help.component != of_package[0].component {
            continue;
        }
        let table = help.tables.get("").expect("it has settings of its own");
        text.push_str(&format!("\n{}\n", table.join("\n")));
    }
    let groups: BTreeSet<_> = of_package
        .iter()
        .flat_map(|help| help.tables.keys())
        .filter(|group| !group.is_empty())
        .map(|group| format!("\"{group}\""))
        .collect();
    let groups: Vec<_> = groups.into_iter().collect();
    let groups = match groups.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => groups.concat(),
    };
    text.push_str(&format!(
        "\nBesides, [what several programs have](../README.md#settings): {groups}.\n"
    ));
    text
}

/// What the README above those of the packages says about the settings that several programs have.
fn shared_section() -> String {
    let mut shared: BTreeMap<&str, &Vec<String>> = BTreeMap::new();
    for help in HELP.iter() {
        for (group, table) in help.tables.iter().filter(|(group, _)| !group.is_empty()) {
            let before = shared.insert(group, table);
            assert!(
                before.is_none_or(|before| before == table),
                "{} has settings of its own in \"{group}\"",
                help.component
            );
        }
    }
    let mut text = String::from(
        "\nEnvironment variables. Every program prints its own and these with `--help`; its README lists what only it has.\n",
    );
    for (group, table) in shared {
        text.push_str(&format!("\n### {group}\n\n{}\n", table.join("\n")));
    }
    text
}

/// Puts a section in the place of the one that a README has.
fn with_section(readme: &str, section: &str) -> Option<String> {
    let begin = readme.find(HEADING)? + HEADING.len();
    let length = readme[begin..].find("\n## ");
    let end = length.map_or(readme.len(), |length| begin + length);
    Some([&readme[..begin], section, &readme[end..]].concat())
}

#[test]
fn the_readmes_say_what_can_be_set() {
    let packages: BTreeSet<_> = HELP.iter().map(|help| help.package.as_str()).collect();
    let mut sections: BTreeMap<String, String> = packages
        .into_iter()
        .map(|package| (format!("{package}/README.md"), section(package)))
        .collect();
    sections.insert("README.md".to_owned(), shared_section());
    for (file, section) in sections {
        let path = root().join("system-under-test").join(&file);
        let written = std::fs::read_to_string(&path).expect("a README");
        let fresh = with_section(&written, &section)
            .unwrap_or_else(|| panic!("{file} has no heading `## Settings`"));
        if std::env::var_os("FIREDRILL_WRITE").is_some() {
            std::fs::write(&path, &fresh).expect("it can be written");
        } else {
            assert_eq!(
                written, fresh,
                "{file} is not fresh: run the tests once with FIREDRILL_WRITE=1"
            );
        }
    }
}

#[test]
fn the_topology_says_nothing_that_a_program_does_not_hear() {
    for help in HELP.iter() {
        let component = &TOPOLOGY.components[&help.component];
        let known = names(help.tables.values());
        let unheard: Vec<_> = component
            .settings
            .keys()
            .filter(|name| !known.contains(*name))
            .collect();
        let component = &help.component;
        assert!(unheard.is_empty(), "{component} does not know {unheard:?}");
    }
}

#[test]
fn what_several_components_are_told_is_heard_by_one_at_least() {
    let known = names(HELP.iter().flat_map(|help| help.tables.values()));
    let unheard: Vec<_> = TOPOLOGY
        .settings
        .keys()
        .filter(|name| !known.contains(*name))
        .collect();
    assert!(unheard.is_empty(), "nobody knows {unheard:?}");
}

#[test]
fn an_argument_that_means_nothing_is_refused() {
    for help in HELP.iter() {
        let component = &help.component;
        let output = run(&help.package, &role_of(component), "--settings");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(EXIT_USAGE),
            "{component}: {said}"
        );
        assert!(said.contains("`--settings` is unknown"), "{said}");
        assert!(said.contains("`--help`"), "{said}");
    }
}
