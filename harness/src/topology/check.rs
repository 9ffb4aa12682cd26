//! What must be true of a topology beyond its shape.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    CUSTOMERS, Component, Program, Protocol, Provided, Template, TemplatePart, Topology, Word,
};
use crate::{
    diagnostic::{Diagnostic, suggestion},
    document::Document,
};

/// Everything that is wrong with a topology that could be understood.
pub(super) fn problems(topology: &Topology, document: &Document) -> Vec<Diagnostic> {
    let mut check = Check {
        topology,
        document,
        found: Vec::new(),
    };
    for component in topology.components.values() {
        check.name(component);
        check.numbers(component);
        check.program(component);
        check.probes(component);
        check.settings(component);
        check.migrations(component);
        check.shared_database(component);
    }
    check.database_names();
    check.entry();
    check.verification();
    check.defences();
    check.found
}

struct Check<'a> {
    topology: &'a Topology,
    document: &'a Document,
    found: Vec<Diagnostic>,
}

impl Check<'_> {
    fn key(&mut self, path: &[&str], message: String, remedy: Option<&str>) {
        let span = self.document.key(path);
        let remedy = remedy.map(str::to_owned);
        self.found
            .push(self.document.complain(span, message, remedy));
    }

    fn value(&mut self, path: &[&str], message: String, remedy: Option<String>) {
        let span = self.document.value(path);
        self.found
            .push(self.document.complain(span, message, remedy));
    }

    fn name(&mut self, component: &Component) {
        let name = component.name.as_str();
        if name == CUSTOMERS {
            let message = format!("a component cannot be called `{CUSTOMERS}`");
            self.key(
                &["component", name],
                message,
                Some("that is who comes in from outside"),
            );
        } else if !is_name(name) {
            let message = format!("`{name}` cannot be the name of a component");
            let remedy = "use small letters, digits and `-`, starting with a letter";
            self.key(&["component", name], message, Some(remedy));
        }
        let numbered = name
            .rsplit_once('-')
            .filter(|(_, end)| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some((front, _)) = numbered
            && self.topology.components.contains_key(front)
        {
            let message = format!("`{name}` is also the name of an instance of `{front}`");
            self.key(
                &["component", name],
                message,
                Some("call it something else"),
            );
        }
        for port in component.ports.keys().filter(|port| !is_name(port)) {
            let message = format!("`{port}` cannot be the name of a port");
            let remedy = "use small letters, digits and `-`, starting with a letter";
            self.key(&["component", name, "ports", port], message, Some(remedy));
        }
    }

    fn numbers(&mut self, component: &Component) {
        let name = component.name.as_str();
        if component.replicas == 0 {
            let remedy = "leave the component out, or let 1 instance run".to_owned();
            let message = format!("`{name}` has no replicas");
            self.value(&["component", name, "replicas"], message, Some(remedy));
        }
        for (topic, settings) in &component.topics {
            if settings.partitions == 0 {
                let message = format!("topic `{topic}` has no partitions");
                let place = ["component", name, "topics", topic, "partitions"];
                self.value(&place, message, Some("give it at least 1".to_owned()));
            }
        }
    }

    /// What makes sense only for some ways of coming to life.
    fn program(&mut self, component: &Component) {
        let name = component.name.as_str();
        let Program::Provided(provided) = component.program else {
            if !component.topics.is_empty() {
                let message = format!("`{name}` cannot have topics");
                let remedy = "only a component with `provided = \"kafka\"` has them";
                self.key(&["component", name, "topics"], message, Some(remedy));
            }
            return;
        };
        if provided != Provided::Kafka && !component.topics.is_empty() {
            let message = format!("`{name}` cannot have topics");
            let remedy = "only a component with `provided = \"kafka\"` has them";
            self.key(&["component", name, "topics"], message, Some(remedy));
        }
        let meaningless = [
            ("settings", !component.settings.is_empty()),
            ("arguments", !component.arguments.is_empty()),
            ("database", component.database.is_some()),
            ("shares_database_of", component.shares_database_of.is_some()),
            ("live", component.live.is_some()),
            ("ready", component.ready.is_some()),
            ("replicas", component.replicas > 1),
        ];
        for (key, present) in meaningless {
            if present {
                let message =
                    format!("`{key}` says nothing about `{name}`, which the testbed provides");
                self.key(&["component", name, key], message, Some("remove it"));
            }
        }
    }

    fn probes(&mut self, component: &Component) {
        let name = component.name.as_str();
        for (key, path) in [("live", &component.live), ("ready", &component.ready)] {
            if let Some(path) = path.as_ref().filter(|path| !path.starts_with('/')) {
                let message = format!("`{path}` is not a path");
                self.value(
                    &["component", name, key],
                    message,
                    Some(format!("write `/{path}`")),
                );
            }
        }
        let Some(port) = &component.probe_port else {
            return;
        };
        let place = ["component", name, "probe_port"];
        match component.ports.get(port) {
            Some(Protocol::Http) => {}
            Some(_) => {
                let message = format!("port `{port}` of `{name}` cannot be probed");
                let remedy = "probe a port that speaks `http`".to_owned();
                self.value(&place, message, Some(remedy));
            }
            None => {
                let message = format!("`{name}` has no port `{port}`");
                let remedy = suggestion(port, component.ports.keys().map(String::as_str));
                self.value(&place, message, remedy);
            }
        }
    }

    /// Placeholders that mean something of the component itself, and ports that nobody is told of.
    fn settings(&mut self, component: &Component) {
        if matches!(component.program, Program::Provided(_)) {
            return;
        }
        let topology = self.topology;
        let name = component.name.as_str();
        let mut untold: BTreeSet<&str> = component.ports.keys().map(String::as_str).collect();
        for (setting, template) in topology.settings_of(component) {
            let own = ["component", name, "settings", setting];
            let place = match component.settings.contains_key(setting) {
                true => &own[..],
                false => &["settings", setting][..],
            };
            self.template(component, place, template);
            untold.retain(|port| !template.listens().any(|told| told == *port));
        }
        for (index, template) in component.arguments.iter().enumerate() {
            let index = index.to_string();
            self.template(
                component,
                &["component", name, "arguments", &index],
                template,
            );
            untold.retain(|port| !template.listens().any(|told| told == *port));
        }
        for port in untold {
            let message = format!("`{name}` is never told its port `{port}`");
            let remedy = format!("pass `{{listen:{port}}}` in a setting or an argument");
            self.key(&["component", name, "ports", port], message, Some(&remedy));
        }
    }

    fn template(&mut self, component: &Component, place: &[&str], template: &Template) {
        let name = component.name.as_str();
        for part in &template.parts {
            let (text, message, remedy) = match part {
                TemplatePart::Listen(port) if !component.ports.contains_key(port) => (
                    format!("{{listen:{port}}}"),
                    format!("`{name}` has no port `{port}`"),
                    suggestion(port, component.ports.keys().map(String::as_str)),
                ),
                TemplatePart::Word(
                    word @ (Word::Database
                    | Word::DatabaseUser
                    | Word::DatabasePassword
                    | Word::DatabasePasswordFile),
                ) if component.database.is_none() && component.shares_database_of.is_none() => (
                    format!("{{{}}}", word.name()),
                    format!("`{name}` has no database"),
                    Some("add `database = { name = \"NAME\" }`".to_owned()),
                ),
                TemplatePart::Named(server) if !self.topology.asks_for_names(component) => (
                    format!("{{named:{}", server.component),
                    format!(
                        "`{name}` cannot know where the names of `{}` are",
                        server.component
                    ),
                    Some(
                        "pass `{name_server}` in a setting, or write `{link:...}` for addresses"
                            .to_owned(),
                    ),
                ),
                TemplatePart::Word(
                    word @ (Word::Bucket | Word::BucketAccessKey | Word::BucketSecretKey),
                ) if !self.has_object_store() => (
                    format!("{{{}}}", word.name()),
                    "there is no object store".to_owned(),
                    Some("add a component with `provided = \"object-store\"`".to_owned()),
                ),
                _ => continue,
            };
            let span = self.document.part(place, &text);
            self.found
                .push(self.document.complain(span, message, remedy));
        }
    }

    fn has_object_store(&self) -> bool {
        let provided = Program::Provided(Provided::ObjectStore);
        let mut components = self.topology.components.values();
        components.any(|component| component.program == provided)
    }

    fn migrations(&mut self, component: &Component) {
        let folder = component
            .database
            .as_ref()
            .and_then(|database| database.migrations.as_ref());
        let Some(folder) = folder else {
            return;
        };
        let name = component.name.as_str();
        let place = ["component", name, "database", "migrations"];
        let entries = match std::fs::read_dir(self.topology.root.join(folder)) {
            Ok(entries) => entries,
            Err(error) => {
                let message = format!("migrations `{}` cannot be read: {error}", folder.display());
                let remedy = "the folder is relative to the topology file".to_owned();
                return self.value(&place, message, Some(remedy));
            }
        };
        let has_sql = entries
            .flatten()
            .any(|entry| entry.path().extension().is_some_and(|end| end == "sql"));
        if !has_sql {
            let message = format!("there is no migration in `{}`", folder.display());
            let remedy = "add files like `0001_tables.sql`, or leave `migrations` out".to_owned();
            self.value(&place, message, Some(remedy));
        }
    }

    fn shared_database(&mut self, component: &Component) {
        let Some(owner) = &component.shares_database_of else {
            return;
        };
        let name = component.name.as_str();
        let place = ["component", name, "shares_database_of"];
        if component.database.is_some() {
            let message = format!("`{name}` has a database of its own and shares one");
            self.key(&place, message, Some("leave one of the two out"));
        }
        let topology = self.topology;
        let with_database = topology.started().filter(|one| one.database.is_some());
        let known: Vec<&str> = with_database.map(|one| one.name.as_str()).collect();
        if !known.contains(&owner.as_str()) {
            let message = format!("`{owner}` has no database to share");
            self.value(&place, message, suggestion(owner, known));
        }
    }

    fn database_names(&mut self) {
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        for component in self.topology.components.values() {
            let Some(database) = &component.database else {
                continue;
            };
            let name = component.name.as_str();
            let place = ["component", name, "database", "name"];
            if !is_database_name(&database.name) {
                let message = format!("`{}` cannot be the name of a database", database.name);
                let remedy = "use at most 40 small letters, digits and `_`, starting with a letter";
                self.value(&place, message, Some(remedy.to_owned()));
            }
            if let Some(other) = owners.insert(&database.name, name) {
                let message = format!("database `{}` belongs to `{other}` already", database.name);
                let remedy = "each component has a database of its own".to_owned();
                self.value(&place, message, Some(remedy));
            }
        }
    }

    fn entry(&mut self) {
        let entry = Some(&self.topology.entry);
        for (key, way_in) in [
            ("entry", entry),
            ("page", self.topology.page.as_ref()),
            ("identity", self.topology.identity.as_ref()),
        ] {
            let Some(way_in) = way_in else { continue };
            let spoken = self.topology.protocol(way_in);
            if spoken.is_some_and(|spoken| !matches!(spoken, Protocol::Http | Protocol::Https)) {
                let message = format!(
                    "customers cannot enter at `{}/{}`",
                    way_in.component, way_in.port
                );
                let remedy = "name a port that speaks `http` or `https`".to_owned();
                self.value(&["customers", key], message, Some(remedy));
            }
        }
    }

    fn verification(&mut self) {
        let Some(defence) = &self.topology.verification else {
            return;
        };
        if !self.topology.defences.contains_key(defence) {
            let known = self.topology.defences.keys().map(String::as_str);
            let remedy = suggestion(defence, known);
            let message = format!("unknown defence `{defence}`");
            self.value(&["customers", "verification"], message, remedy);
        }
    }

    fn defences(&mut self) {
        let started: Vec<&str> = self
            .topology
            .started()
            .map(|one| one.name.as_str())
            .collect();
        for defence in self.topology.defences.values() {
            let name = defence.name.as_str();
            if !started.contains(&defence.component.as_str()) {
                let message = match self.topology.components.contains_key(&defence.component) {
                    true => format!("`{}` is provided and has no defences", defence.component),
                    false => format!("unknown component `{}`", defence.component),
                };
                let remedy = suggestion(&defence.component, started.iter().copied());
                self.value(&["defence", name, "component"], message, remedy);
            }
            if !is_defence_name(name) {
                let message = format!("`{name}` cannot be the name of a defence");
                let remedy = "write `PART.PROTECTION` in small letters, digits and `-`";
                self.key(&["defence", name], message, Some(remedy));
            }
            if defence.protects.trim().is_empty() {
                let message = format!("nothing is said about what `{name}` protects");
                let remedy = "say in one sentence what is safe while it is on".to_owned();
                self.value(&["defence", name, "protects"], message, Some(remedy));
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn is_database_name(name: &str) -> bool {
    name.len() <= 40
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn is_defence_name(name: &str) -> bool {
    name.split_once('.')
        .is_some_and(|(part, protection)| is_name(part) && is_name(protection))
}
