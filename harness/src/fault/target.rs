//! What a fault hurts, in the words of the topology.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::Cause;
use crate::testbed::{LinkSelector, Pipeline};

/// A link, `payment-service -> payment-provider`, of whole components or of single instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkName(pub LinkSelector);

impl FromStr for LinkName {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, Self::Err> {
        let sides = words.split_once("->");
        let (client, server) = sides
            .map(|(client, server)| (client.trim(), server.trim()))
            .filter(|(client, server)| !client.is_empty() && !server.is_empty())
            .ok_or_else(|| format!("{words:?} is no link; write it as \"client -> server\""))?;
        Ok(Self(LinkSelector {
            client: client.to_owned(),
            server: server.to_owned(),
        }))
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} -> {}", self.0.client, self.0.server)
    }
}

impl Serialize for LinkName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LinkName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl JsonSchema for LinkName {
    fn schema_name() -> Cow<'static, str> {
        "LinkName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^.+->.+$" })
    }
}

/// A name in a profile that something else must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named<'a> {
    /// A link of the topology.
    Link(&'a LinkName),
    /// A component of the topology.
    Component(&'a str),
    /// An instance of a component.
    Instance(&'a str),
    /// A fail-point of a component, or of the component that an instance belongs to.
    FailPoint {
        /// The component or instance.
        of: &'a str,
        /// The fail-point.
        point: &'a str,
    },
    /// A topic of the broker, without the drill's prefix.
    Topic(&'a str),
}

/// The instances that a process fault means: all of a component, or a single one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Processes<'a> {
    pub(crate) component: Option<&'a str>,
    pub(crate) instance: Option<&'a str>,
}

impl<'a> Processes<'a> {
    /// The target in words.
    pub(crate) fn words(&self) -> String {
        self.instance
            .or(self.component)
            .unwrap_or("nothing")
            .to_owned()
    }

    /// What is named, with the key that names it.
    pub(crate) fn named(&self) -> Vec<(&'static str, Named<'a>)> {
        let component = self
            .component
            .map(|name| ("component", Named::Component(name)));
        let instance = self
            .instance
            .map(|name| ("instance", Named::Instance(name)));
        component.into_iter().chain(instance).collect()
    }

    /// Refuses none and both.
    pub(crate) fn mistakes(&self) -> Vec<Mistake> {
        match (self.component, self.instance) {
            (None, None) => vec![Mistake::new(
                "kind",
                "nothing says which processes are meant",
                "add `component = \"...\"` for all instances, or `instance = \"...\"` for one",
            )],
            (Some(_), Some(_)) => vec![Mistake::new(
                "instance",
                "both a component and an instance are named",
                "keep the one that is meant",
            )],
            _ => Vec::new(),
        }
    }

    /// The instances, which must exist.
    pub(crate) fn instances(&self, pipeline: &dyn Pipeline) -> Result<Vec<String>, Cause> {
        let found = match (self.component, self.instance) {
            (_, Some(instance)) => component_of(instance)
                .map(|component| pipeline.instances(component))
                .unwrap_or_default()
                .into_iter()
                .filter(|name| name == instance)
                .collect(),
            (Some(component), None) => pipeline.instances(component),
            (None, None) => Vec::new(),
        };
        if found.is_empty() {
            return Err(Cause::NoTarget {
                target: format!("process of {}", self.words()),
                remedy: "name a component or instance that this drill runs".to_owned(),
            });
        }
        Ok(found)
    }
}

/// The component of an instance: `order-service` of `order-service-2`.
pub fn component_of(instance: &str) -> Option<&str> {
    let (component, number) = instance.rsplit_once('-')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(component)
}

/// Something in a profile that its types allow but that means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key that is meant.
    pub key: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl Mistake {
    pub(crate) fn new(
        key: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            key,
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_names_its_component() {
        assert_eq!(component_of("order-service-12"), Some("order-service"));
        assert_eq!(component_of("order-service"), None);
        assert_eq!(component_of("kafka"), None);
    }

    #[test]
    fn a_link_is_read_and_shown_alike() {
        let link: LinkName = "a->b-2".parse().expect("a link");
        assert_eq!(link.to_string(), "a -> b-2");
        assert!("a b".parse::<LinkName>().is_err());
        assert!(" -> b".parse::<LinkName>().is_err());
    }
}
