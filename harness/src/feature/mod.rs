//! Feature files: read, checked in every way that needs nothing running, and selected.
//!
//! A mistake in a feature file must never make a scenario silently smaller: what a line is decides our own scan first
//! ([`scan`]), then the Gherkin parser reads the file, then tags and steps are held against what is known.

mod expand;
mod lines;
mod scan;
mod select;
mod tag_expression;
mod tags;
mod vocabulary;

use std::path::{Path, PathBuf};

pub use select::{find_files, select};
pub use tag_expression::TagExpression;
pub use tags::{PLAIN_TAGS, Without};
pub use vocabulary::{StepMatch, StepProblem, StepVocabulary, Vocabulary};

use crate::diagnostic::{Diagnostic, Diagnostics, Source};

/// A feature file whose every line was understood.
#[derive(Debug, Clone)]
pub struct Feature {
    /// The file, relative to the working directory where possible.
    pub path: PathBuf,
    /// What it is about.
    pub name: String,
    /// Its scenarios in the order of the file; an outline has become one scenario for each row.
    pub scenarios: Vec<Scenario>,
    /// The same for the `cucumber` engine: outlines are expanded, and every position is true.
    pub gherkin: gherkin::Feature,
}

/// One scenario, or one row of an outline.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The file.
    pub path: PathBuf,
    /// The line of its keyword; of the row for an outline.
    pub line: usize,
    /// First and last line of the scenario (of the whole outline), its tags included.
    pub lines: (usize, usize),
    /// What it is called.
    pub name: String,
    /// Catalogue ids of the failures that it shows, `6.5`, from its tags.
    pub failures: Vec<String>,
    /// Defences without which it must fail, from its tags.
    pub without: Vec<Without>,
    /// All its tags without `@`, those of its feature and rule included.
    pub tags: Vec<String>,
    /// Its steps in order, those of the backgrounds first.
    pub steps: Vec<Step>,
    /// The same for the `cucumber` engine.
    pub gherkin: gherkin::Scenario,
}

/// A step of a scenario.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its line.
    pub line: usize,
    /// What it says, with the table or text block that belongs to it.
    pub gherkin: gherkin::Step,
}

impl Feature {
    /// The feature with only those scenarios that `keep` accepts.
    pub fn only(&self, keep: impl Fn(&Scenario) -> bool) -> Self {
        let scenarios: Vec<Scenario> = self
            .scenarios
            .iter()
            .filter(|scenario| keep(scenario))
            .cloned()
            .collect();
        let kept = |one: &gherkin::Scenario| {
            scenarios
                .iter()
                .any(|scenario| scenario.gherkin.position == one.position)
        };
        let mut gherkin = self.gherkin.clone();
        gherkin.scenarios.retain(kept);
        for rule in &mut gherkin.rules {
            rule.scenarios.retain(kept);
        }
        gherkin.rules.retain(|rule| !rule.scenarios.is_empty());
        Self {
            scenarios,
            gherkin,
            ..self.clone()
        }
    }
}

/// Reads feature files.
///
/// # Errors
/// Everything that is wrong in any of them, in the order of the places.
pub fn load(paths: &[PathBuf], vocabulary: &Vocabulary<'_>) -> Result<Vec<Feature>, Diagnostics> {
    let mut features = Vec::new();
    let mut found = Vec::new();
    for path in paths {
        match load_one(path, vocabulary) {
            Ok(feature) => features.push(feature),
            Err(Diagnostics(more)) => found.extend(more),
        }
    }
    Diagnostics::unless_empty(features, found)
}

fn load_one(path: &Path, vocabulary: &Vocabulary<'_>) -> Result<Feature, Diagnostics> {
    parse(&Source::read(path)?, vocabulary)
}

/// Reads a feature whose text is at hand.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(source: &Source, vocabulary: &Vocabulary<'_>) -> Result<Feature, Diagnostics> {
    let (outline, mut found) = scan::scan(source);
    let lines_make_sense = found.is_empty();
    for tag in &outline.tags {
        found.extend(tags::problem(source, &tag.name, &tag.span, vocabulary));
    }
    if !lines_make_sense {
        return Err(Diagnostics::sorted(found));
    }
    let parsed = match gherkin::Feature::parse(&source.text, gherkin::GherkinEnv::default()) {
        Ok(parsed) => parsed,
        Err(error) => {
            found.push(parse_error(source, &error));
            return Err(Diagnostics::sorted(found));
        }
    };
    found.extend(swallowed(source, &parsed, &outline));
    let feature = expand::feature(source, parsed, &outline);
    found.extend(vocabulary.step_problems(source, &feature));
    Diagnostics::unless_empty(feature, found)
}

/// The parser and the scan must have seen the same file; else one of them dropped something.
fn swallowed(
    source: &Source,
    parsed: &gherkin::Feature,
    outline: &scan::Outline,
) -> Option<Diagnostic> {
    let backgrounds = parsed.background.iter();
    let in_rules = parsed.rules.iter().flat_map(|rule| &rule.background);
    let scenarios: Vec<_> = parsed
        .scenarios
        .iter()
        .chain(parsed.rules.iter().flat_map(|rule| &rule.scenarios))
        .collect();
    let steps = backgrounds
        .chain(in_rules)
        .map(|one| one.steps.len())
        .sum::<usize>()
        + scenarios.iter().map(|one| one.steps.len()).sum::<usize>();
    if (scenarios.len(), steps) == (outline.scenarios, outline.steps) {
        return None;
    }
    let message = format!(
        "the file has {} scenarios with {} steps, but the Gherkin parser read {} with {steps}",
        outline.scenarios,
        outline.steps,
        scenarios.len()
    );
    let remedy = "look for a line that is indented or punctuated in an unusual way".to_owned();
    Some(Diagnostic::whole(
        source.path.clone(),
        message,
        Some(remedy),
    ))
}

fn parse_error(source: &Source, error: &gherkin::ParseError) -> Diagnostic {
    // The error keeps its place private and prints it as `Error at LINE:COLUMN: {...}`.
    let text = error.to_string();
    let place = text.strip_prefix("Error at ").and_then(|rest| {
        let mut numbers = rest.split(':').map(str::parse::<usize>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    let last_line = source.text.lines().count();
    let (line, column) = place.unwrap_or((last_line, 1));
    Diagnostic {
        path: source.path.clone(),
        line: line.clamp(1, last_line.max(1)),
        column,
        span: Some(source.line_span(line.clamp(1, last_line.max(1)))),
        message: "the Gherkin parser does not understand this".to_owned(),
        remedy: Some("the mistake may stand a few lines above".to_owned()),
    }
}
