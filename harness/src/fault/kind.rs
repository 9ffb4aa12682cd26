//! The closed set of kinds, and the one place that knows all of them.

use futures::future::BoxFuture;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    AddressMoved, AuthorityReplaced, BrokerStopped, Cause, CertificateExpires, CertificateReplaced,
    ConnectionCut, ConnectionReset, ConnectionTimeout, Deadlock, DnsAnswers, ExternalScript,
    FailPoint, KafkaAnswers, Latency, LinkDown, MessagesDuplicated, MessagesProduced, Mistake,
    Named, OffsetsReset, ProcessKilled, ProcessPaused, RowsLocked, SecretRotated,
    SigningKeyRotated, Witness,
    in_force::{InForce, Scene},
};

/// What one kind of fault must say and do; implemented once in each kind's own file.
pub(crate) trait FaultKind: Serialize + JsonSchema + Send + Sync + Sized {
    /// Its name in a profile.
    const NAME: &'static str;
    /// A scenario's line with it, in Gherkin.
    const EXAMPLE: &'static str;
    /// Who can tell that it was felt; the first is the usual one.
    const WITNESSES: &'static [Witness];

    /// What is hurt, in the words of the topology.
    fn target(&self) -> String;

    /// The names in it that something else must know, each with its key.
    fn named(&self) -> Vec<(&'static str, Named<'_>)>;

    /// What its types allow but means nothing.
    fn mistakes(&self) -> Vec<Mistake> {
        Vec::new()
    }

    /// Puts it in force.
    fn put_in_force(
        &self,
        scene: Scene,
    ) -> impl Future<Output = Result<Box<dyn InForce>, Cause>> + Send;
}

/// One kind of fault, as it is listed.
#[derive(Debug, Clone)]
pub struct KindDescription {
    /// Its name in a profile.
    pub name: &'static str,
    /// What happens, from its documentation.
    pub summary: String,
    /// A scenario's line with it, in Gherkin.
    pub example: &'static str,
    /// Who can tell that it was felt.
    pub witnesses: &'static [Witness],
    /// JSON Schema of its parameters.
    pub schema: Value,
}

fn describe<K: FaultKind>() -> KindDescription {
    let schema = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<K>();
    let schema = Value::from(schema);
    let summary = schema["description"].as_str().unwrap_or_default();
    KindDescription {
        name: K::NAME,
        summary: summary
            .split("\n\n")
            .next()
            .unwrap_or_default()
            .replace('\n', " "),
        example: K::EXAMPLE,
        witnesses: K::WITNESSES,
        schema,
    }
}

macro_rules! kinds {
    ($($kind:ident),+ $(,)?) => {
        /// A kind of fault with its parameters and its target. Closed; `kind` names it in a profile.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        #[allow(missing_docs, reason = "each kind is documented where it is defined")]
        pub enum Kind {
            $( $kind($kind), )+
        }

        impl Kind {
            /// All kinds, as they are listed.
            #[must_use]
            pub fn all() -> Vec<KindDescription> {
                vec![$( describe::<$kind>(), )+]
            }

            /// Its name in a profile.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $( Self::$kind(_) => <$kind as FaultKind>::NAME, )+ }
            }

            /// Who can tell that it was felt; the first is the usual one.
            #[must_use]
            pub fn witnesses(&self) -> &'static [Witness] {
                match self { $( Self::$kind(_) => <$kind as FaultKind>::WITNESSES, )+ }
            }

            /// What is hurt, in the words of the topology.
            #[must_use]
            pub fn target(&self) -> String {
                match self { $( Self::$kind(kind) => kind.target(), )+ }
            }

            /// The names in it that something else must know, each with its key.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, Named<'_>)> {
                match self { $( Self::$kind(kind) => kind.named(), )+ }
            }

            /// What its types allow but means nothing.
            #[must_use]
            pub fn mistakes(&self) -> Vec<Mistake> {
                match self { $( Self::$kind(kind) => kind.mistakes(), )+ }
            }

            pub(crate) fn put_in_force(
                &self,
                scene: Scene,
            ) -> BoxFuture<'_, Result<Box<dyn InForce>, Cause>> {
                match self { $( Self::$kind(kind) => Box::pin(kind.put_in_force(scene)), )+ }
            }
        }
    };
}

kinds! {
    Latency,
    ConnectionTimeout,
    ConnectionReset,
    ConnectionCut,
    LinkDown,
    KafkaAnswers,
    ProcessKilled,
    ProcessPaused,
    FailPoint,
    ExternalScript,
    BrokerStopped,
    MessagesDuplicated,
    MessagesProduced,
    OffsetsReset,
    RowsLocked,
    Deadlock,
    SigningKeyRotated,
    SecretRotated,
    DnsAnswers,
    AddressMoved,
    CertificateReplaced,
    AuthorityReplaced,
    CertificateExpires,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_says_what_it_does_how_it_reads_and_who_witnesses_it() {
        for kind in Kind::all() {
            assert!(!kind.summary.is_empty(), "{}", kind.name);
            assert!(
                kind.example.contains("Given") || kind.example.contains("When"),
                "{}",
                kind.name
            );
            assert!(!kind.witnesses.is_empty(), "{}", kind.name);
            let parameters = kind.schema["properties"].as_object().expect("parameters");
            for (name, parameter) in parameters {
                assert!(
                    parameter["description"].is_string(),
                    "{} {name} is not documented",
                    kind.name
                );
            }
        }
    }

    #[test]
    fn names_in_profiles_are_those_of_the_kinds() {
        let schema = Value::from(schemars::schema_for!(Kind));
        let tags: Vec<&str> = schema["oneOf"]
            .as_array()
            .expect("one shape a kind")
            .iter()
            .filter_map(|shape| shape["properties"]["kind"]["const"].as_str())
            .collect();
        let names: Vec<&str> = Kind::all().iter().map(|kind| kind.name).collect();
        assert_eq!(tags, names);
    }

    #[test]
    fn every_witness_witnesses_something() {
        let kinds = Kind::all();
        for witness in Witness::ALL {
            assert!(
                kinds.iter().any(|kind| kind.witnesses.contains(witness)),
                "{witness}"
            );
        }
    }
}
