//! From the file to the observations, checked against the topology.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use firedrill_oracle::record::FactKind;

use super::{
    Consumes, Count, Endpoint, FactSource, GroupOfTopics, Observations, Place, Settled, Statement,
    Tells,
    fields::{fields, kind_named},
    shape::{ObservationsShape, ObserveShape, SettledShape, StatementShape},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, Source, suggestion},
    document::Document,
    topology::{Protocol, Topology},
};

impl Observations {
    /// Reads and checks an observations file.
    ///
    /// # Errors
    /// The file cannot be read, or something in it is wrong; everything is told at once.
    pub fn load(path: &Path, topology: &Topology) -> Result<Self, Diagnostics> {
        Self::parse(Source::read(path)?, topology)
    }

    /// Checks observations whose text is at hand.
    ///
    /// # Errors
    /// Something is wrong; everything is told at once.
    pub fn parse(source: Source, topology: &Topology) -> Result<Self, Diagnostics> {
        let document = Document::parse(source)?;
        let shape: ObservationsShape = document.decode()?;
        let mut check = Check {
            document: &document,
            topology,
            topics: topology
                .components
                .values()
                .flat_map(|component| component.topics.keys().map(String::as_str))
                .collect(),
            found: Vec::new(),
        };
        let observations = check.observations(&shape);
        Diagnostics::unless_empty(observations, check.found)
    }
}

struct Check<'a> {
    document: &'a Document,
    topology: &'a Topology,
    topics: BTreeSet<&'a str>,
    found: Vec<Diagnostic>,
}

impl Check<'_> {
    fn observations(&mut self, shape: &ObservationsShape) -> Observations {
        let mut sources = Vec::new();
        for (index, observe) in shape.observe.iter().enumerate() {
            sources.extend(self.source(&index.to_string(), observe));
        }
        let mut consumes = Vec::new();
        for (index, one) in shape.consumes.iter().enumerate() {
            let index = index.to_string();
            self.topic(&["consumes", &index, "topic"], &one.topic);
            consumes.push(Consumes {
                group: one.group.clone(),
                topic: one.topic.clone(),
                kinds: one.kinds.clone(),
            });
        }
        let tells = shape.tells.iter().map(|one| Tells {
            group: one.group.clone(),
            kind: one.kind.clone(),
            channels: one.channels.clone(),
        });
        let mut settled = Vec::new();
        for (index, one) in shape.settled.iter().enumerate() {
            settled.extend(self.settled(&index.to_string(), one));
        }
        let products = self.statements("products", &shape.arrange.products);
        let prices = self.statements("prices", &shape.arrange.prices);
        Observations {
            path: self.document.source.path.clone(),
            sources,
            consumes,
            tells: tells.collect(),
            settled,
            products,
            prices,
        }
    }

    fn statements(&mut self, of: &str, shapes: &[StatementShape]) -> Vec<Statement> {
        let mut statements = Vec::new();
        for (index, one) in shapes.iter().enumerate() {
            let place = ["arrange", of, &index.to_string(), "component"];
            self.database(&place, &one.component);
            statements.push(Statement {
                component: one.component.clone(),
                sql: one.sql.clone(),
            });
        }
        statements
    }

    fn source(&mut self, index: &str, shape: &ObserveShape) -> Option<FactSource> {
        let kind = kind_named(&shape.fact)?;
        let place = match (given(shape).as_slice(), kind) {
            (["component", "sql"], _) => self.sql_place(index, shape),
            (["component", "fields", "list", "path"], _) => self.endpoint_place(index, kind, shape),
            (["fields", "topics"], FactKind::Message) => self.messages_place(index, shape),
            (["headers", "topics"], FactKind::Parked) => self.parked_place(index, shape),
            (["group", "topics"], FactKind::Progress) => self.progress_place(index, shape),
            _ => {
                let message = format!("it is not clear where `{}` is read", shape.fact);
                self.value(&["observe", index], message, Some(ways(kind).to_owned()));
                None
            }
        };
        place.map(|place| FactSource { kind, place })
    }

    fn sql_place(&mut self, index: &str, shape: &ObserveShape) -> Option<Place> {
        let (component, sql) = shape.component.clone().zip(shape.sql.clone())?;
        self.database(&["observe", index, "component"], &component);
        Some(Place::Sql(Statement { component, sql }))
    }

    fn endpoint_place(
        &mut self,
        index: &str,
        kind: FactKind,
        shape: &ObserveShape,
    ) -> Option<Place> {
        let (list, fields) = shape.list.clone().zip(shape.fields.clone())?;
        self.mapping(&["observe", index, "fields"], kind, &fields, &[]);
        if !list.is_empty() && !list.starts_with('/') {
            let message = format!("`{list}` is not a JSON pointer");
            let remedy = format!("write `/{list}`");
            self.value(&["observe", index, "list"], message, Some(remedy));
        }
        let (component, path) = shape.component.as_deref().zip(shape.path.as_deref())?;
        let endpoint = self.endpoint(index, component, shape.port.as_deref(), path)?;
        Some(Place::Endpoint {
            endpoint,
            list,
            fields,
        })
    }

    fn messages_place(&mut self, index: &str, shape: &ObserveShape) -> Option<Place> {
        const GIVEN: [&str; 3] = ["topic", "partition", "offset"];
        let place = ["observe", index, "fields"];
        let (topics, fields) = shape.topics.clone().zip(shape.fields.clone())?;
        self.all_topics(&["observe", index, "topics"], &topics);
        self.mapping(&place, FactKind::Message, &fields, &GIVEN);
        self.pointers(&place, &fields);
        Some(Place::Messages { topics, fields })
    }

    fn parked_place(&mut self, index: &str, shape: &ObserveShape) -> Option<Place> {
        let (topics, headers) = shape.topics.clone().zip(shape.headers.clone())?;
        self.all_topics(&["observe", index, "topics"], &topics);
        let place = ["observe", index, "headers"];
        self.mapping(&place, FactKind::Parked, &headers, &[]);
        Some(Place::Parked { topics, headers })
    }

    fn progress_place(&mut self, index: &str, shape: &ObserveShape) -> Option<Place> {
        let (topics, group) = shape.topics.clone().zip(shape.group.clone())?;
        self.all_topics(&["observe", index, "topics"], &topics);
        Some(Place::Progress(GroupOfTopics { group, topics }))
    }

    fn settled(&mut self, index: &str, shape: &SettledShape) -> Option<Settled> {
        let at = |key| ["settled", index, key];
        let count = match shape {
            SettledShape {
                component: Some(component),
                sql: Some(sql),
                group: None,
                topics: None,
                ..
            } => {
                self.database(&at("component"), component);
                Count::Sql(Statement {
                    component: component.clone(),
                    sql: sql.clone(),
                })
            }
            SettledShape {
                component: None,
                sql: None,
                group: Some(group),
                topics: Some(topics),
                ..
            } => {
                self.all_topics(&at("topics"), topics);
                Count::Lag(GroupOfTopics {
                    group: group.clone(),
                    topics: topics.clone(),
                })
            }
            _ => {
                let message = format!("it is not clear how `{}` is counted", shape.name);
                let remedy = "give `component` and `sql`, or `group` and `topics`".to_owned();
                self.value(&["settled", index], message, Some(remedy));
                return None;
            }
        };
        Some(Settled {
            name: shape.name.clone(),
            moving: shape.moving,
            count,
        })
    }

    fn endpoint(
        &mut self,
        index: &str,
        component: &str,
        port: Option<&str>,
        path: &str,
    ) -> Option<Endpoint> {
        let at = |key| ["observe", index, key];
        let Some(known) = self.topology.components.get(component) else {
            self.unknown_component(&at("component"), component);
            return None;
        };
        if !path.starts_with('/') {
            let message = format!("`{path}` is not a path");
            self.value(&at("path"), message, Some(format!("write `/{path}`")));
        }
        let clear: Vec<&str> = known
            .ports
            .iter()
            .filter(|(_, protocol)| **protocol == Protocol::Http)
            .map(|(name, _)| name.as_str())
            .collect();
        let port = match (port, clear.as_slice()) {
            (Some(port), _) if clear.contains(&port) => port,
            (Some(port), _) => {
                let message = format!("`{component}` speaks no HTTP in the clear on port `{port}`");
                self.value(
                    &at("port"),
                    message,
                    suggestion(port, clear.iter().copied()),
                );
                return None;
            }
            (None, [only]) => only,
            (None, _) => {
                let message = format!("which port of `{component}` is meant is not known");
                let remedy = "name one that speaks `http` in `port`".to_owned();
                self.value(&["observe", index], message, Some(remedy));
                return None;
            }
        };
        Some(Endpoint {
            component: component.to_owned(),
            port: port.to_owned(),
            path: path.to_owned(),
        })
    }

    fn database(&mut self, place: &[&str], component: &str) {
        match self.topology.components.get(component) {
            None => self.unknown_component(place, component),
            Some(known) if known.database.is_none() => {
                let with_database = self
                    .topology
                    .components
                    .values()
                    .filter(|one| one.database.is_some())
                    .map(|one| one.name.as_str());
                let remedy = suggestion(component, with_database);
                self.value(place, format!("`{component}` has no database"), remedy);
            }
            Some(_) => {}
        }
    }

    fn unknown_component(&mut self, place: &[&str], component: &str) {
        let known = self.topology.components.keys().map(String::as_str);
        let remedy = suggestion(component, known);
        self.value(place, format!("unknown component `{component}`"), remedy);
    }

    fn all_topics(&mut self, place: &[&str], topics: &[String]) {
        for (index, topic) in topics.iter().enumerate() {
            let index = index.to_string();
            let mut place = place.to_vec();
            place.push(&index);
            self.topic(&place, topic);
        }
    }

    fn topic(&mut self, place: &[&str], topic: &str) {
        if !self.topics.contains(topic) {
            let remedy = suggestion(topic, self.topics.iter().copied());
            self.value(place, format!("unknown topic `{topic}`"), remedy);
        }
    }

    /// Every field of the fact must be mapped, and nothing else; `given` are known without.
    fn mapping(
        &mut self,
        place: &[&str],
        kind: FactKind,
        mapping: &BTreeMap<String, String>,
        given: &[&str],
    ) {
        let wanted: Vec<&str> = fields(kind)
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| !given.contains(name))
            .collect();
        for name in mapping
            .keys()
            .filter(|name| !wanted.contains(&name.as_str()))
        {
            let mut place = place.to_vec();
            place.push(name);
            let span = self.document.key(&place);
            let message = format!("{} have no field `{name}`", kind.words());
            let remedy = suggestion(name, wanted.iter().copied());
            self.found
                .push(self.document.complain(span, message, remedy));
        }
        let needed = |name: &&&str| {
            let spare = fields(kind)
                .iter()
                .any(|(field, holds)| field == *name && holds.is_spare());
            !spare && !mapping.contains_key(**name)
        };
        for name in wanted.iter().filter(needed) {
            let message = format!("nothing says where `{name}` of {} stands", kind.words());
            self.value(place, message, Some(format!("add `{name} = \"...\"`")));
        }
    }

    fn pointers(&mut self, place: &[&str], mapping: &BTreeMap<String, String>) {
        for (name, pointer) in mapping {
            if !pointer.starts_with('/') {
                let mut place = place.to_vec();
                place.push(name);
                let message = format!("`{pointer}` is not a JSON pointer");
                self.value(&place, message, Some(format!("write `/{pointer}`")));
            }
        }
    }

    fn value(&mut self, place: &[&str], message: String, remedy: Option<String>) {
        let span = self.document.value(place);
        self.found
            .push(self.document.complain(span, message, remedy));
    }
}

/// The keys that say where a fact is read, in the order of their names; a port may always be added to a path.
fn given(shape: &ObserveShape) -> Vec<&'static str> {
    let keys = [
        ("component", shape.component.is_some()),
        ("fields", shape.fields.is_some()),
        ("group", shape.group.is_some()),
        ("headers", shape.headers.is_some()),
        ("list", shape.list.is_some()),
        ("path", shape.path.is_some()),
        ("port", shape.port.is_some() && shape.path.is_none()),
        ("sql", shape.sql.is_some()),
        ("topics", shape.topics.is_some()),
    ];
    let given = keys.into_iter().filter(|(_, given)| *given);
    given.map(|(key, _)| key).collect()
}

fn ways(kind: FactKind) -> &'static str {
    match kind {
        FactKind::Message => {
            "give `topics` and `fields`, or `component` and `sql`, or `component`, `path`, `list` and `fields`"
        }
        FactKind::Parked => {
            "give `topics` and `headers`, or `component` and `sql`, or `component`, `path`, `list` and `fields`"
        }
        FactKind::Progress => {
            "give `group` and `topics`, or `component` and `sql`, or `component`, `path`, `list` and `fields`"
        }
        _ => "give `component` and `sql`, or `component`, `path`, `list` and `fields`",
    }
}
