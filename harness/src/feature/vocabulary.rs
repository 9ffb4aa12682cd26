//! What a feature file may name.

use std::collections::{BTreeSet, HashSet};

use gherkin::StepType;

use super::{Feature, Step};
use crate::{
    diagnostic::{Diagnostic, Source},
    topology::Topology,
};

/// What a feature file may name; without `steps` the steps are not looked at.
pub struct Vocabulary<'a> {
    /// Has the defences.
    pub topology: &'a Topology,
    /// Names of the invariants and expectations that can be violated.
    pub findings: BTreeSet<String>,
    /// The steps that are implemented.
    pub steps: Option<&'a dyn StepVocabulary>,
}

/// The steps that are implemented.
pub trait StepVocabulary: Sync {
    /// Whether a step's words are implemented.
    fn find(&self, text: &str, kind: StepType) -> StepMatch;
    /// The known step that is most like `text`, as its author would write it.
    fn nearest(&self, text: &str, kind: StepType) -> Option<String>;
    /// What is wrong inside a step that is implemented: an unknown fault, product, component, a number out of bounds.
    fn problems(&self, step: &gherkin::Step) -> Vec<StepProblem>;
}

/// Whether a step is implemented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepMatch {
    /// Once.
    Defined,
    /// Not at all.
    Undefined,
    /// Several times; the patterns, or where they are.
    Ambiguous(Vec<String>),
}

/// What is wrong inside a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepProblem {
    /// The words of the step that are meant.
    pub part: String,
    /// What is wrong, one sentence.
    pub message: String,
    /// What to do.
    pub remedy: Option<String>,
}

impl<'a> Vocabulary<'a> {
    /// Everything that the oracle can find, and the defences of `topology`; steps are not looked at.
    pub fn new(topology: &'a Topology, findings: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            topology,
            findings: findings.into_iter().map(str::to_owned).collect(),
            steps: None,
        }
    }

    /// The same with steps.
    #[must_use]
    pub fn with_steps(self, steps: &'a dyn StepVocabulary) -> Self {
        Self {
            steps: Some(steps),
            ..self
        }
    }

    /// What is wrong with the steps of a feature; a step of a background is told once.
    pub(super) fn step_problems(&self, source: &Source, feature: &Feature) -> Vec<Diagnostic> {
        let Some(steps) = self.steps else {
            return Vec::new();
        };
        let mut seen = HashSet::new();
        feature
            .scenarios
            .iter()
            .flat_map(|scenario| &scenario.steps)
            .filter(|step| seen.insert((step.line, &step.gherkin.value)))
            .flat_map(|step| problems_of(steps, source, step))
            .collect()
    }
}

fn problems_of(steps: &dyn StepVocabulary, source: &Source, step: &Step) -> Vec<Diagnostic> {
    let text = step.gherkin.value.as_str();
    let line = source.line_span(step.line);
    let place = |part: &str| {
        let found = source.text[line.clone()]
            .find(part)
            .filter(|_| !part.is_empty());
        match found {
            Some(offset) => line.start + offset..line.start + offset + part.len(),
            None => line.start + leading_blanks(&source.text[line.clone()])..line.end,
        }
    };
    match steps.find(text, step.gherkin.ty) {
        StepMatch::Defined => steps
            .problems(&step.gherkin)
            .into_iter()
            .map(|problem| source.complain(place(&problem.part), problem.message, problem.remedy))
            .collect(),
        StepMatch::Undefined => {
            if let Some(keyword) = keyword_of(steps, text) {
                let message = format!(
                    "this step is a `{keyword:?}`, and here it is read as a `{:?}`",
                    step.gherkin.ty
                );
                let remedy = format!(
                    "begin it with `{keyword:?}`; `And` goes on with what stands before it"
                );
                return vec![source.complain(place(text), message, Some(remedy))];
            }
            let remedy = match steps.nearest(text, step.gherkin.ty) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "`firedrill list steps` prints the steps there are".to_owned(),
            };
            vec![source.complain(place(text), "nobody knows this step", Some(remedy))]
        }
        StepMatch::Ambiguous(patterns) => {
            let message = format!("this step means several things: {}", patterns.join("; "));
            let remedy = "reword it so that only one fits".to_owned();
            vec![source.complain(place(text), message, Some(remedy))]
        }
    }
}

/// The keyword under which the text is a step.
fn keyword_of(steps: &dyn StepVocabulary, text: &str) -> Option<StepType> {
    [StepType::Given, StepType::When, StepType::Then]
        .into_iter()
        .find(|keyword| matches!(steps.find(text, *keyword), StepMatch::Defined))
}

fn leading_blanks(text: &str) -> usize {
    text.len() - text.trim_start().len()
}
