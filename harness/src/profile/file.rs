//! The shape of a profile's file.

use std::{collections::BTreeMap, path::Path, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Content, Profile, Step, check};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, suggestion},
    document::Document,
    fault::{Fault, FeltBy, Kind},
    topology::Topology,
};

/// A file of `fault-profiles/`: one fault, or a timed sequence of faults that have files of their own.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum ProfileShape {
    Fault(FaultShape),
    Sequence(SequenceShape),
}

/// One fault.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct FaultShape {
    /// Row of the failure catalogue that it belongs to, `6.5`, or several rows.
    pub(super) catalogue: Rows,
    /// What happens, one sentence.
    pub(super) summary: String,
    /// Who can tell that it was felt, and how often it must be.
    pub(super) felt: FeltBy,
    #[serde(flatten)]
    pub(super) kind: Kind,
}

/// Faults one after the other.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SequenceShape {
    /// Row of the failure catalogue that it belongs to, `6.5`, or several rows.
    pub(super) catalogue: Rows,
    /// What happens, one sentence.
    pub(super) summary: String,
    /// The faults with their times.
    #[schemars(length(min = 1))]
    pub(super) steps: Vec<StepShape>,
}

/// A fault of a sequence.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StepShape {
    /// Milliseconds from the start of the sequence.
    pub(super) at_ms: u64,
    /// Milliseconds that it lasts; until the whole sequence heals when it is left out.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub(super) for_ms: Option<u64>,
    /// Name of the fault's own profile.
    pub(super) profile: String,
}

/// One or several rows of the failure catalogue.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Rows {
    One(String),
    Several(Vec<String>),
}

impl Rows {
    pub(super) fn list(&self) -> Vec<String> {
        match self {
            Self::One(row) => vec![row.clone()],
            Self::Several(rows) => rows.clone(),
        }
    }
}

/// The JSON Schema of a profile's file, pretty-printed, for editors.
#[must_use]
pub fn schema() -> String {
    crate::document::schema::<ProfileShape>()
}

/// A file that was read; a sequence does not know the faults of its steps yet.
pub(super) struct File {
    pub(super) name: String,
    document: Document,
    content: Shape,
}

enum Shape {
    Fault(Box<(FaultShape, Fault)>),
    Sequence(SequenceShape),
}

impl File {
    pub(super) fn read(path: &Path, topology: &Topology) -> Result<Self, Diagnostics> {
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default()
            .to_owned();
        Self::parse(Document::read(path)?, name, topology)
    }

    pub(super) fn parse(
        document: Document,
        name: String,
        topology: &Topology,
    ) -> Result<Self, Diagnostics> {
        let mut found = check::name(&document, &name);
        let content = if !document.key(&["steps"]).is_empty() {
            document.decode::<SequenceShape>().map(Shape::Sequence)
        } else {
            document.decode::<FaultShape>().map(|shape| {
                let fault = Fault {
                    name: name.clone(),
                    kind: shape.kind.clone(),
                    felt: shape.felt,
                };
                Shape::Fault(Box::new((shape, fault)))
            })
        };
        match content {
            Ok(content) => {
                let (rows, summary) = content.reason();
                found.extend(check::reason(&document, &rows, summary));
                if let Shape::Fault(shape) = &content {
                    found.extend(check::fault(&document, &shape.1, topology));
                }
                let file = Self {
                    name,
                    document,
                    content,
                };
                Diagnostics::unless_empty(file, found)
            }
            Err(Diagnostics(mistakes)) => {
                found.extend(mistakes);
                Err(Diagnostics(found))
            }
        }
    }

    /// The file's only fault, if it is no sequence.
    pub(super) fn fault(&self) -> Option<&Fault> {
        match &self.content {
            Shape::Fault(shape) => Some(&shape.1),
            Shape::Sequence(_) => None,
        }
    }

    /// The profile, with the faults of other files where it is a sequence. `names` are all profiles.
    pub(super) fn resolve(
        self,
        names: &[String],
        faults: &BTreeMap<String, Fault>,
    ) -> Result<Profile, Diagnostics> {
        let (catalogue, summary) = self.content.reason();
        let summary = summary.to_owned();
        let mut found = Vec::new();
        let content = match &self.content {
            Shape::Fault(shape) => Content::Fault(shape.1.clone()),
            Shape::Sequence(sequence) => {
                let mut steps = Vec::new();
                for (index, step) in sequence.steps.iter().enumerate() {
                    match faults.get(&step.profile) {
                        Some(fault) => steps.push(Step {
                            at: Duration::from_millis(step.at_ms),
                            lasting: step.for_ms.map(Duration::from_millis),
                            fault: fault.clone(),
                        }),
                        None => found.push(self.no_fault(index, &step.profile, names, faults)),
                    }
                }
                steps.sort_by_key(|step| step.at);
                Content::Sequence(steps)
            }
        };
        let profile = Profile {
            name: self.name,
            path: self.document.source.path,
            catalogue,
            summary,
            content,
        };
        Diagnostics::unless_empty(profile, found)
    }

    fn no_fault(
        &self,
        index: usize,
        name: &str,
        names: &[String],
        faults: &BTreeMap<String, Fault>,
    ) -> Diagnostic {
        let place = self
            .document
            .value(&["steps", &index.to_string(), "profile"]);
        if names.iter().any(|known| known == name) {
            return self.document.complain(
                place,
                format!("`{name}` is a sequence itself"),
                Some("name its faults instead".to_owned()),
            );
        }
        self.document.complain(
            place,
            format!("there is no profile `{name}`, or it has mistakes"),
            suggestion(name, faults.keys().map(String::as_str)),
        )
    }
}

impl Shape {
    fn reason(&self) -> (Vec<String>, &str) {
        match self {
            Self::Fault(shape) => (shape.0.catalogue.list(), &shape.0.summary),
            Self::Sequence(shape) => (shape.catalogue.list(), &shape.summary),
        }
    }
}
