//! From a component's templates to the environment and arguments of one instance.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{
    certificates::Certificates,
    lease::RunFolder,
    links::LinkPlan,
    names::{self, Names},
    postgres::ComponentDatabase,
    warden::INSTANCE_VARIABLE,
};
use crate::{
    testbed::{ObjectStoreAccess, PipelineRequest, TestbedError},
    topology::{CUSTOMERS, Component, PortReference, Template, TemplatePart, Topology, Word},
};

/// What an instance's placeholders stand for.
pub(super) struct Meaning<'a> {
    pub(super) topology: &'a Topology,
    pub(super) component: &'a Component,
    pub(super) instance: &'a str,
    pub(super) request: &'a PipelineRequest,
    pub(super) topic_prefix: &'a str,
    /// The addresses of its own ports, by name.
    pub(super) ports: &'a BTreeMap<String, SocketAddr>,
    /// The drill's links and where their proxies listen.
    pub(super) links: &'a [(LinkPlan, SocketAddr)],
    pub(super) names: &'a Names,
    /// Whether customers go by names rather than by addresses.
    pub(super) names_for_customers: bool,
    pub(super) database: Option<&'a ComponentDatabase>,
    /// Where it reads the password of that database.
    pub(super) password_file: Option<&'a Path>,
    pub(super) object_store: Option<&'a ObjectStoreAccess>,
    pub(super) certificates: &'a Certificates,
    pub(super) run: &'a RunFolder,
}

impl Meaning<'_> {
    /// The whole environment of the instance: its settings, the run's mark, and the little that any program needs.
    pub(super) fn environment(&self) -> Result<BTreeMap<OsString, OsString>, TestbedError> {
        let mut environment = self.run.environment();
        environment.insert(INSTANCE_VARIABLE.into(), self.instance.into());
        for (name, template) in self.topology.settings_of(self.component) {
            environment.insert(name.into(), self.text(template)?.into());
        }
        for ((component, name), value) in &self.request.settings {
            if *component == self.component.name {
                environment.insert(name.into(), value.into());
            }
        }
        Ok(environment)
    }

    /// The instance's arguments.
    pub(super) fn arguments(&self) -> Result<Vec<OsString>, TestbedError> {
        self.component
            .arguments
            .iter()
            .map(|template| Ok(self.text(template)?.into()))
            .collect()
    }

    fn text(&self, template: &Template) -> Result<String, TestbedError> {
        let mut text = String::new();
        for part in &template.parts {
            match part {
                TemplatePart::Text(literal) => text.push_str(literal),
                TemplatePart::Link(reference) => {
                    text.push_str(&self.proxies(self.instance, reference, false));
                }
                TemplatePart::Named(reference) => {
                    text.push_str(&self.proxies(self.instance, reference, true));
                }
                TemplatePart::Customers(reference) => {
                    let by_name = self.names_for_customers;
                    text.push_str(&self.proxies(CUSTOMERS, reference, by_name));
                }
                TemplatePart::Listen(port) => text.push_str(&self.own_address(port)?),
                TemplatePart::Word(word) => text.push_str(&self.word(*word)?),
            }
        }
        Ok(text)
    }

    /// Where a client reaches a server.
    fn proxies(&self, client: &str, reference: &PortReference, by_name: bool) -> String {
        let own = self
            .links
            .iter()
            .filter(|(plan, _)| plan.client == client && plan.reference == *reference);
        own.map(|(plan, address)| names::place(plan, *address, by_name))
            .collect::<Vec<_>>()
            .join(",")
    }

    fn own_address(&self, port: &str) -> Result<String, TestbedError> {
        let address = self
            .ports
            .get(port)
            .ok_or_else(|| self.lacks(&format!("a port {port}")))?;
        Ok(address.to_string())
    }

    fn word(&self, word: Word) -> Result<String, TestbedError> {
        let database = || self.database.ok_or_else(|| self.lacks("a database"));
        let store = || {
            self.object_store
                .ok_or_else(|| self.lacks("an object store"))
        };
        let certificate = || {
            self.certificates
                .files(&self.component.name)
                .ok_or_else(|| self.lacks("a certificate"))
        };
        Ok(match word {
            Word::Instance => self.instance.to_owned(),
            Word::NameServer => self
                .names
                .address(self.instance)
                .map(|address| address.to_string())
                .ok_or_else(|| self.lacks("a name server"))?,
            Word::Database => database()?.name.clone(),
            Word::DatabaseUser => database()?.user.clone(),
            Word::DatabasePassword => database()?.password.clone(),
            Word::DatabasePasswordFile => {
                path_text(self.password_file.ok_or_else(|| self.lacks("a database"))?)
            }
            Word::CaFile => path_text(&certificate()?.trusted),
            Word::CertificateFile => path_text(&certificate()?.certificate),
            Word::PrivateKeyFile => path_text(&certificate()?.private_key),
            Word::Bucket => store()?.bucket.clone(),
            Word::BucketAccessKey => store()?.access_key.clone(),
            Word::BucketSecretKey => store()?.secret_key.clone(),
            Word::TopicPrefix => self.topic_prefix.to_owned(),
            Word::DefencesOff => self.request.without.join(","),
            Word::Seed => self.request.seed.to_string(),
        })
    }

    fn lacks(&self, what: &str) -> TestbedError {
        TestbedError::Failed {
            doing: format!("settling the settings of {}", self.instance),
            reason: format!("a placeholder needs {what}, which the topology does not give it"),
        }
    }
}

fn path_text(path: &Path) -> String {
    PathBuf::from(path).to_string_lossy().into_owned()
}
