//! The README of a folder of profiles, made from the profiles themselves.

use std::fmt::Write as _;

use super::{Content, Profile, Profiles};

/// The README of the folder, Markdown.
#[must_use]
pub fn readme(profiles: &Profiles) -> String {
    let mut text = String::from(
        "# Fault profiles\n\n\
         One file is one fault, or a timed sequence of faults, with a name and a reason. A scenario injects one by the name of\n\
         its file: `When the fault \"order-instance-killed\" is injected`. `firedrill list faults` prints the kinds with their\n\
         parameters and witnesses.\n\n\
         This file is made from the profiles; do not edit it.\n\n\
         | profile | failures | what happens | hurts | felt by |\n|---|---|---|---|---|\n",
    );
    for profile in profiles.iter() {
        let _ = writeln!(
            text,
            "| [{name}]({name}.toml) | {rows} | {summary} | {target} | {felt} |",
            name = profile.name,
            rows = profile.catalogue.join(", "),
            summary = cell(&profile.summary),
            target = cell(&profile.target()),
            felt = cell(&felt(profile)),
        );
    }
    text
}

fn felt(profile: &Profile) -> String {
    match &profile.content {
        Content::Fault(fault) => format!("{}, at least {}", fault.felt.by, fault.felt.at_least),
        Content::Sequence(steps) => steps
            .iter()
            .map(|step| format!("{}: {} ms", step.fault.name, step.at.as_millis()))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// Text that stands in a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('\n', " ")
        .trim()
        .to_owned()
}
