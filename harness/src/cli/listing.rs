//! `list`: what can be named in features and on the command line, from the registries that the code itself uses.

use firedrill_oracle::Invariant;
use serde_json::{Value, json};

use super::{
    arguments::{Listing, SystemFiles},
    exit::Refusal,
    loading::System,
};
use crate::{catalogue, fault::Kind, steps::STEPS, terminal::say};

/// One thing of a list: its name, what it means, and where it belongs.
struct Entry {
    name: String,
    meaning: String,
    more: Vec<(&'static str, String)>,
}

/// Prints a list.
pub(super) fn list(files: &SystemFiles, what: Listing, as_json: bool) -> Result<u8, Refusal> {
    let entries = entries(files, what)?;
    if as_json {
        let list: Vec<Value> = entries.iter().map(Entry::json).collect();
        say(serde_json::to_string_pretty(&list).map_err(anyhow::Error::from)?);
    } else {
        let width = entries
            .iter()
            .map(|entry| entry.name.chars().count())
            .max()
            .unwrap_or(0)
            .min(44);
        for entry in entries {
            say(format_args!("{:width$}  {}", entry.name, entry.meaning));
            for (label, text) in entry.more.iter().filter(|(_, text)| !text.is_empty()) {
                say(format_args!("{:width$}    {label}: {text}", ""));
            }
        }
    }
    Ok(0)
}

fn entries(files: &SystemFiles, what: Listing) -> Result<Vec<Entry>, Refusal> {
    Ok(match what {
        Listing::Steps => STEPS
            .iter()
            .map(|step| Entry::new(format!("{} {}", step.keyword, step.example), step.meaning))
            .collect(),
        Listing::Invariants => Invariant::ALL
            .iter()
            .map(|invariant| Entry::new(invariant.name(), invariant.promise()))
            .collect(),
        Listing::Faults => kinds(),
        Listing::Failures => failures(&System::load(files)?)?,
        Listing::Profiles => profiles(&System::load(files)?),
        Listing::Defences => System::load(files)?
            .topology
            .defences
            .values()
            .map(|defence| {
                Entry::new(&defence.name, &defence.protects).with("component", &defence.component)
            })
            .collect(),
        Listing::Components => components(&System::load(files)?),
    })
}

fn kinds() -> Vec<Entry> {
    Kind::all()
        .into_iter()
        .map(|kind| {
            let witnesses: Vec<String> = kind.witnesses.iter().map(ToString::to_string).collect();
            Entry::new(kind.name, kind.summary).with("felt by", witnesses.join(", "))
        })
        .collect()
}

fn profiles(system: &System) -> Vec<Entry> {
    system
        .profiles
        .iter()
        .map(|profile| {
            Entry::new(&profile.name, &profile.summary)
                .with("failure", profile.catalogue.join(", "))
        })
        .collect()
}

fn failures(system: &System) -> Result<Vec<Entry>, Refusal> {
    let features = system.select(&[system.all_features()], None)?;
    let scenarios: Vec<_> = features
        .iter()
        .flat_map(|feature| &feature.scenarios)
        .collect();
    Ok(catalogue::FAILURES
        .iter()
        .map(|failure| {
            let shown: Vec<String> = scenarios
                .iter()
                .filter(|scenario| scenario.failures.iter().any(|id| id == failure.id))
                .map(|scenario| format!("{}:{}", scenario.path.display(), scenario.line))
                .collect();
            Entry::new(failure.id, failure.title).with("shown by", shown.join(", "))
        })
        .collect())
}

fn components(system: &System) -> Vec<Entry> {
    let links = system.topology.links();
    system
        .topology
        .components
        .values()
        .map(|component| {
            let connects: Vec<&str> = links
                .iter()
                .filter(|link| link.client == component.name)
                .map(|link| link.server.component.as_str())
                .collect();
            let noun = if component.replicas == 1 {
                "instance"
            } else {
                "instances"
            };
            Entry::new(&component.name, format!("{} {noun}", component.replicas))
                .with("connects to", connects.join(", "))
        })
        .collect()
}

impl Entry {
    fn new(name: impl Into<String>, meaning: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            meaning: meaning.into(),
            more: Vec::new(),
        }
    }

    fn with(mut self, label: &'static str, text: impl Into<String>) -> Self {
        self.more.push((label, text.into()));
        self
    }

    fn json(&self) -> Value {
        let mut value = json!({ "name": self.name, "meaning": self.meaning });
        for (label, text) in &self.more {
            value[label.replace(' ', "_")] = json!(text);
        }
        value
    }
}
