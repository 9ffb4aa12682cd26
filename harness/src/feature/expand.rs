//! From what the Gherkin parser read to scenarios with true lines.
//!
//! The parser's own positions of outline rows count from the heading and go wrong at blank lines and comments; byte spans
//! and the scan's row numbers do not.

use gherkin::LineCol;

use super::{Feature, Scenario, Step, Without, scan::Outline, tags::Tag};
use crate::diagnostic::Source;

/// The feature with its outlines expanded.
pub(super) fn feature(source: &Source, mut parsed: gherkin::Feature, outline: &Outline) -> Feature {
    let expansion = Expansion { source, outline };
    parsed.path = Some(source.path.clone());
    parsed.position = expansion.position(parsed.span);
    let common = expansion.background(&mut parsed.background);
    let mut scenarios = Vec::new();
    parsed.scenarios = expansion.all(
        std::mem::take(&mut parsed.scenarios),
        &common,
        &parsed.tags,
        &mut scenarios,
    );
    for rule in &mut parsed.rules {
        rule.position = expansion.position(rule.span);
        let mut steps = common.clone();
        steps.extend(expansion.background(&mut rule.background));
        let tags: Vec<String> = parsed.tags.iter().chain(&rule.tags).cloned().collect();
        let own = std::mem::take(&mut rule.scenarios);
        rule.scenarios = expansion.all(own, &steps, &tags, &mut scenarios);
    }
    Feature {
        path: source.path.clone(),
        name: parsed.name.clone(),
        scenarios,
        gherkin: parsed,
    }
}

struct Expansion<'a> {
    source: &'a Source,
    outline: &'a Outline,
}

impl Expansion<'_> {
    fn position(&self, span: gherkin::Span) -> LineCol {
        let (line, col) = self.source.position(span.start);
        LineCol { line, col }
    }

    fn background(&self, background: &mut Option<gherkin::Background>) -> Vec<Step> {
        let Some(background) = background else {
            return Vec::new();
        };
        background.position = self.position(background.span);
        self.steps(&mut background.steps)
    }

    fn steps(&self, steps: &mut [gherkin::Step]) -> Vec<Step> {
        steps
            .iter_mut()
            .map(|step| {
                step.position = self.position(step.span);
                Step {
                    line: step.position.line,
                    gherkin: step.clone(),
                }
            })
            .collect()
    }

    /// Expands scenarios; what the engine needs is returned, what the harness needs is added to `scenarios`.
    fn all(
        &self,
        parsed: Vec<gherkin::Scenario>,
        background: &[Step],
        tags: &[String],
        scenarios: &mut Vec<Scenario>,
    ) -> Vec<gherkin::Scenario> {
        let mut expanded = Vec::new();
        for one in parsed {
            for mut one in self.rows(one) {
                let line = one.position.line;
                let own = self.steps(&mut one.steps);
                let all_tags: Vec<String> = tags.iter().chain(&one.tags).cloned().collect();
                let keyword_line = self.position(one.span).line;
                let lines = self.outline.extents.get(&keyword_line);
                scenarios.push(Scenario {
                    path: self.source.path.clone(),
                    line,
                    lines: lines.map_or((line, line), |lines| (lines.start, lines.end - 1)),
                    name: one.name.clone(),
                    failures: failures(&all_tags),
                    without: without(&all_tags),
                    tags: all_tags,
                    steps: background.iter().cloned().chain(own).collect(),
                    gherkin: one.clone(),
                });
                expanded.push(one);
            }
        }
        expanded
    }

    /// One scenario for each row of an outline's examples; a plain scenario as it is.
    fn rows(&self, mut scenario: gherkin::Scenario) -> Vec<gherkin::Scenario> {
        scenario.position = self.position(scenario.span);
        if scenario.examples.is_empty() {
            return vec![scenario];
        }
        let mut expanded = Vec::new();
        for examples in std::mem::take(&mut scenario.examples) {
            let keyword_line = self.position(examples.span).line;
            let lines = self.outline.rows.get(&keyword_line);
            let Some((heading, rows)) = examples
                .table
                .as_ref()
                .and_then(|table| table.rows.split_first())
            else {
                continue;
            };
            for (index, row) in rows.iter().enumerate() {
                let mut one = scenario.clone();
                let line = lines.and_then(|lines| lines.get(index)).copied();
                one.position.line = line.unwrap_or(keyword_line);
                one.tags.extend(examples.tags.iter().cloned());
                let cells: Vec<(&str, &str)> = heading
                    .iter()
                    .map(String::as_str)
                    .zip(row.iter().map(String::as_str))
                    .collect();
                fill(&mut one, &cells);
                expanded.push(one);
            }
        }
        expanded
    }
}

/// Puts a row's cells in the place of `<names>`.
fn fill(scenario: &mut gherkin::Scenario, cells: &[(&str, &str)]) {
    let put = |text: &mut String| {
        if !text.contains('<') {
            return;
        }
        let mut rest = text.as_str();
        let mut filled = String::new();
        while let Some(open) = rest.find('<') {
            filled.push_str(&rest[..open]);
            let cell = cells.iter().find(|(name, _)| {
                rest[open + 1..]
                    .strip_prefix(name)
                    .is_some_and(|after| after.starts_with('>'))
            });
            match cell {
                Some((name, value)) => {
                    filled.push_str(value);
                    rest = &rest[open + name.len() + 2..];
                }
                None => {
                    filled.push('<');
                    rest = &rest[open + 1..];
                }
            }
        }
        filled.push_str(rest);
        *text = filled;
    };
    put(&mut scenario.name);
    for step in &mut scenario.steps {
        put(&mut step.value);
        step.docstring.iter_mut().for_each(put);
        let rows = step.table.iter_mut().flat_map(|table| &mut table.rows);
        rows.flatten().for_each(put);
    }
}

fn failures(tags: &[String]) -> Vec<String> {
    let failure = |tag: &String| match Tag::read(tag) {
        Tag::Failure(id) => Some(id.to_owned()),
        _ => None,
    };
    tags.iter().filter_map(failure).collect()
}

fn without(tags: &[String]) -> Vec<Without> {
    let without = |tag: &String| match Tag::read(tag) {
        Tag::Without { defence, finding } => Some(Without {
            defence: defence.to_owned(),
            finding: finding.to_owned(),
        }),
        _ => None,
    };
    tags.iter().filter_map(without).collect()
}
