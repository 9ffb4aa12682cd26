//! From the file to the topology, with everything that is wrong told at once.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    CUSTOMERS, Component, Database, Defence, PortReference, Program, Protocol, Provided, Template,
    Topic, Topology,
    shape::{ComponentShape, SettingShape, TopologyShape},
    template,
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Source, suggestion},
    document::Document,
};

/// How long a component may take to stop when its topology does not say, in seconds.
const STOP_GRACE_S: u64 = 10;

impl Topology {
    /// Reads and checks a topology file.
    ///
    /// # Errors
    /// The file cannot be read, or something in it is wrong; everything is told at once.
    pub fn load(path: &Path) -> Result<Self, Diagnostics> {
        let root = path.parent().unwrap_or(Path::new(".")).to_owned();
        Self::parse(Source::read(path)?, root)
    }

    /// Checks a topology whose text is at hand; `root` is the folder that its paths are relative to.
    ///
    /// # Errors
    /// Something is wrong; everything is told at once.
    pub fn parse(source: Source, root: PathBuf) -> Result<Self, Diagnostics> {
        let document = Document::parse(source)?;
        let shape: TopologyShape = document.decode()?;
        let mut reader = Reader::new(&document, &shape);
        let topology = reader.topology(root);
        let mut found = reader.found;
        found.extend(super::check::problems(&topology, &document));
        Diagnostics::unless_empty(topology, found)
    }
}

struct Reader<'a> {
    document: &'a Document,
    shape: &'a TopologyShape,
    /// The ports of every component, those that are understood for provided ones included.
    ports: BTreeMap<&'a str, BTreeMap<String, Protocol>>,
    found: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    fn new(document: &'a Document, shape: &'a TopologyShape) -> Self {
        let ports = shape
            .component
            .iter()
            .map(|(name, component)| (name.as_str(), ports_of(component)))
            .collect();
        Self {
            document,
            shape,
            ports,
            found: Vec::new(),
        }
    }

    /// The topology, so far as it can be understood: what cannot be is told, and stands empty.
    fn topology(&mut self, root: PathBuf) -> Topology {
        let shape = self.shape;
        let settings = self.settings(&["settings"], &shape.settings);
        let components = shape
            .component
            .iter()
            .map(|(name, component)| (name.clone(), self.component(name, component)))
            .collect();
        let entry = resolve(&self.ports, &shape.customers.entry).unwrap_or_else(|problem| {
            let (message, remedy) = problem;
            let span = self.document.value(&["customers", "entry"]);
            self.found
                .push(self.document.complain(span, message, remedy));
            PortReference {
                component: String::new(),
                port: String::new(),
            }
        });
        let page = self.way_in("page", shape.customers.page.as_deref());
        let identity = self.way_in("identity", shape.customers.identity.as_deref());
        let defences = shape
            .defence
            .iter()
            .map(|(name, defence)| {
                let defence = Defence {
                    name: name.clone(),
                    component: defence.component.clone(),
                    protects: defence.protects.clone(),
                };
                (name.clone(), defence)
            })
            .collect();
        Topology {
            path: self.document.source.path.clone(),
            root,
            settings,
            components,
            defences,
            entry,
            page,
            identity,
            verification: shape.customers.verification.clone(),
        }
    }

    /// Another port that customers reach, where one is named.
    fn way_in(&mut self, key: &str, named: Option<&str>) -> Option<PortReference> {
        let resolved = resolve(&self.ports, named?);
        let told = resolved.map_err(|(message, remedy)| {
            let span = self.document.value(&["customers", key]);
            self.found
                .push(self.document.complain(span, message, remedy));
        });
        told.ok()
    }

    fn component(&mut self, name: &str, shape: &ComponentShape) -> Component {
        let place = ["component", name];
        let program = self.program(name, shape);
        let settings = self.settings(&["component", name, "settings"], &shape.settings);
        let mut arguments = Vec::new();
        for (index, text) in shape.arguments.iter().enumerate() {
            let index = index.to_string();
            arguments.push(self.template(&["component", name, "arguments", &index], text));
        }
        let ports = self.ports.get(name).cloned().unwrap_or_default();
        let probe_port = shape.probe_port.clone().or_else(|| {
            let mut clear = ports
                .iter()
                .filter(|(_, spoken)| **spoken == Protocol::Http);
            let first = clear.next()?;
            clear.next().is_none().then(|| first.0.clone())
        });
        if (shape.live.is_some() || shape.ready.is_some()) && probe_port.is_none() {
            let span = self.document.key(&place);
            let message = format!("`{name}` has probes, but which port is probed is not known");
            let remedy =
                Some("name it in `probe_port`; it must speak HTTP in the clear".to_owned());
            self.found
                .push(self.document.complain(span, message, remedy));
        }
        Component {
            name: name.to_owned(),
            program,
            arguments,
            replicas: shape.replicas.unwrap_or(1),
            ports,
            live: shape.live.clone(),
            ready: shape.ready.clone(),
            probe_port,
            database: shape.database.as_ref().map(|database| Database {
                name: database.name.clone(),
                migrations: database.migrations.clone(),
            }),
            settings,
            shares_database_of: shape.shares_database_of.clone(),
            stop_grace_s: shape.stop_grace_s.unwrap_or(STOP_GRACE_S),
            fail_points: shape.fail_points.clone(),
            topics: shape
                .topics
                .iter()
                .map(|(name, topic)| {
                    let topic = Topic {
                        partitions: topic.partitions,
                    };
                    (name.clone(), topic)
                })
                .collect(),
        }
    }

    fn program(&mut self, name: &str, shape: &ComponentShape) -> Program {
        let ways: Vec<Program> = [
            shape.build.as_ref().map(|build| Program::Cargo {
                package: build.cargo.clone(),
            }),
            shape.command.clone().map(Program::Command),
            shape.provided.map(Program::Provided),
        ]
        .into_iter()
        .flatten()
        .collect();
        let message = match ways.as_slice() {
            [Program::Command(words)] if words.is_empty() => {
                format!("the command of `{name}` is empty")
            }
            [only] => return only.clone(),
            [] => format!("nothing says how `{name}` comes to life"),
            _ => format!("`{name}` comes to life in several ways"),
        };
        let remedy = "give exactly one of `build = { cargo = \"PACKAGE\" }`, `command = [\"PROGRAM\"]`, `provided = \"...\"`";
        let span = self.document.key(&["component", name]);
        self.found.push(
            self.document
                .complain(span, message, Some(remedy.to_owned())),
        );
        Program::Command(Vec::new())
    }

    fn settings(
        &mut self,
        place: &[&str],
        shapes: &BTreeMap<String, SettingShape>,
    ) -> BTreeMap<String, Template> {
        let mut settings = BTreeMap::new();
        for (name, value) in shapes {
            let mut place = place.to_vec();
            place.push(name);
            let template = match value {
                SettingShape::Text(text) => self.template(&place, text),
                SettingShape::Integer(number) => Template::text(number.to_string()),
                SettingShape::Number(number) => Template::text(number.to_string()),
                SettingShape::Boolean(answer) => Template::text(answer.to_string()),
            };
            if !is_variable_name(name) {
                let span = self.document.key(&place);
                let message = format!("`{name}` cannot be the name of an environment variable");
                let remedy = "use capital letters, digits and `_`, starting with a letter";
                self.found.push(
                    self.document
                        .complain(span, message, Some(remedy.to_owned())),
                );
            }
            settings.insert(name.clone(), template);
        }
        settings
    }

    fn template(&mut self, place: &[&str], text: &str) -> Template {
        match template::parse(text, &|server| resolve(&self.ports, server)) {
            Ok(template) => template,
            Err(problems) => {
                for problem in problems {
                    let span = self.document.part(place, &problem.text);
                    self.found.push(
                        self.document
                            .complain(span, problem.message, problem.remedy),
                    );
                }
                Template::text(text)
            }
        }
    }
}

/// `COMPONENT/PORT`, or `COMPONENT` where it has only one port.
fn resolve(
    ports: &BTreeMap<&str, BTreeMap<String, Protocol>>,
    server: &str,
) -> Result<PortReference, template::Refusal> {
    let (component, port) = match server.split_once('/') {
        Some((component, port)) => (component, Some(port)),
        None => (server, None),
    };
    let Some(known) = ports.get(component) else {
        let remedy = match component {
            CUSTOMERS => Some("nothing can connect to the customers".to_owned()),
            _ => suggestion(component, ports.keys().copied()),
        };
        return Err((format!("unknown component `{component}`"), remedy));
    };
    let names = known.keys().map(String::as_str);
    let port = match port {
        Some(port) if known.contains_key(port) => port.to_owned(),
        Some(port) => {
            let message = format!("`{component}` has no port `{port}`");
            return Err((message, suggestion(port, names)));
        }
        None if known.len() == 1 => names.collect(),
        None if known.is_empty() => {
            let remedy = "give it `ports = { NAME = \"PROTOCOL\" }`".to_owned();
            return Err((format!("`{component}` has no ports"), Some(remedy)));
        }
        None => {
            let written: Vec<String> = names.map(|port| format!("`{component}/{port}`")).collect();
            let remedy = format!("write {}", written.join(" or "));
            return Err((format!("`{component}` has several ports"), Some(remedy)));
        }
    };
    Ok(PortReference {
        component: component.to_owned(),
        port,
    })
}

/// The ports of a component; a provided one has the port of its own protocol without being told.
fn ports_of(shape: &ComponentShape) -> BTreeMap<String, Protocol> {
    let mut ports = shape.ports.clone();
    if ports.is_empty() {
        let understood = match shape.provided {
            Some(Provided::Postgres) => Some(("postgres", Protocol::Postgres)),
            Some(Provided::Kafka) => Some(("kafka", Protocol::Kafka)),
            Some(Provided::ObjectStore) => Some(("s3", Protocol::Http)),
            None => None,
        };
        ports.extend(understood.map(|(name, protocol)| (name.to_owned(), protocol)));
    }
    ports
}

fn is_variable_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}
