//! What can be asked of a topology.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    CUSTOMERS, Component, Defence, Link, PortReference, Program, Protocol, Template, Topology, Word,
};
use crate::diagnostic::{Diagnostic, Diagnostics, suggestion};

impl Topology {
    /// Every client-to-server connection: what the settings and arguments of the components refer to, and the customers'
    /// ways in. Each is named once, in the order of the names.
    pub fn links(&self) -> Vec<Link> {
        let of_customers = |server: &PortReference| Link {
            client: CUSTOMERS.to_owned(),
            server: server.clone(),
        };
        let mut links = BTreeSet::from([of_customers(&self.entry)]);
        links.extend(self.page.iter().map(of_customers));
        links.extend(self.identity.iter().map(of_customers));
        for component in self.started() {
            let templates = self.settings_of(component).into_values();
            for template in templates.chain(&component.arguments) {
                links.extend(template.links().map(|server| Link {
                    client: component.name.clone(),
                    server: server.clone(),
                }));
                links.extend(template.customer_links().map(of_customers));
            }
        }
        links.into_iter().collect()
    }

    /// Whether a component asks a name server of the testbed where others are.
    pub fn asks_for_names(&self, component: &Component) -> bool {
        let settings = self.settings_of(component).into_values();
        let mut templates = settings.chain(&component.arguments);
        templates.any(|template| template.has_word(Word::NameServer))
    }

    /// Whether customers verify who answers them when these defences are off.
    pub fn customers_verify(&self, without: &[String]) -> bool {
        !self
            .verification
            .as_ref()
            .is_some_and(|defence| without.contains(defence))
    }

    /// The settings that a component gets: the common ones, then its own, which win.
    pub fn settings_of<'a>(&'a self, component: &'a Component) -> BTreeMap<&'a str, &'a Template> {
        self.settings
            .iter()
            .chain(&component.settings)
            .map(|(name, template)| (name.as_str(), template))
            .collect()
    }

    /// The components that the drill starts, which the testbed does not provide by itself.
    pub fn started(&self) -> impl Iterator<Item = &Component> {
        self.components
            .values()
            .filter(|component| !matches!(component.program, Program::Provided(_)))
    }

    /// What is spoken on a port.
    pub fn protocol(&self, reference: &PortReference) -> Option<Protocol> {
        let component = self.components.get(&reference.component)?;
        component.ports.get(&reference.port).copied()
    }

    /// A defence by its name.
    ///
    /// # Errors
    /// There is none; the remedy names the nearest. The complaint stands for the command line, `--without`.
    pub fn defence(&self, name: &str) -> Result<&Defence, Diagnostic> {
        self.defences.get(name).ok_or_else(|| {
            Diagnostic::whole(
                "--without",
                format!("unknown defence `{name}`"),
                suggestion(name, self.defences.keys().map(String::as_str)),
            )
        })
    }

    /// Checks the names of defences that are to be switched off.
    ///
    /// # Errors
    /// Some are unknown; each is named with the nearest known one.
    pub fn check_defences(&self, names: &[String]) -> Result<(), Diagnostics> {
        let unknown = names
            .iter()
            .filter_map(|name| self.defence(name).err())
            .collect();
        Diagnostics::unless_empty((), unknown)
    }
}

impl Component {
    /// The component whose database it uses: itself, unless it shares another's.
    pub fn database_owner(&self) -> &str {
        self.shares_database_of.as_deref().unwrap_or(&self.name)
    }

    /// The path and port that tell whether it can serve: its readiness probe, else its liveness probe.
    pub fn ready_probe(&self) -> Option<(&str, &str)> {
        let path = self.ready.as_deref().or(self.live.as_deref())?;
        Some((self.probe_port.as_deref()?, path))
    }
}
