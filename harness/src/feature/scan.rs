//! Whether the lines of a feature file make a feature: what the Gherkin parser would swallow or report elsewhere.

use std::{collections::BTreeMap, ops::Range};

use super::lines::{Header, Line, Placed, classify, meant};
use crate::diagnostic::{Diagnostic, Source};

/// What is known of a file once its lines make sense.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// Lines of the rows (without the heading) of each `Examples:`, by the line of that keyword.
    pub(super) rows: BTreeMap<usize, Vec<usize>>,
    /// Places of tags: the tag, its bytes, and the line of the keyword that it belongs to.
    pub(super) tags: Vec<TagPlace>,
    /// How many steps were seen.
    pub(super) steps: usize,
    /// How many scenarios and outlines were seen.
    pub(super) scenarios: usize,
    /// First and last line of each scenario, its tags included, by the line of its keyword.
    pub(super) extents: BTreeMap<usize, Range<usize>>,
}

/// A tag in a file.
#[derive(Debug)]
pub(super) struct TagPlace {
    pub(super) name: String,
    pub(super) span: Range<usize>,
}

/// Reads the lines of a file: what is known of it, and everything that is wrong with them.
pub(super) fn scan(source: &Source) -> (Outline, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let lines = classify(source, &mut found);
    let mut scan = Scan {
        source,
        found,
        outline: Outline::default(),
        part: Part::Nothing,
        tags: None,
        table: None,
        after_step: false,
        names: BTreeMap::new(),
        columns: Vec::new(),
    };
    for line in &lines {
        scan.line(line);
    }
    scan.end(lines.len());
    (scan.outline, scan.found)
}

/// The part of the file that a line belongs to.
#[derive(Debug, Clone)]
enum Part {
    Nothing,
    /// `Feature:` or `Rule:`, before anything in it.
    Description,
    Body(Body),
    Examples {
        line: usize,
        of: Body,
    },
}

/// A background or a scenario.
#[derive(Debug, Clone)]
struct Body {
    header: Header,
    line: usize,
    first_line: usize,
    steps: usize,
    rows: usize,
    /// `<names>` in its steps, with their places.
    placeholders: Vec<(String, Range<usize>)>,
}

struct Scan<'a> {
    source: &'a Source,
    found: Vec<Diagnostic>,
    outline: Outline,
    part: Part,
    /// Line and place of tags that wait for what they belong to.
    tags: Option<(usize, Range<usize>)>,
    /// Cells in the rows of the table being read.
    table: Option<usize>,
    after_step: bool,
    /// Lines of the scenarios by name.
    names: BTreeMap<String, usize>,
    /// Column names of the current outline's examples.
    columns: Vec<String>,
}

impl Scan<'_> {
    fn line(&mut self, placed: &Placed) {
        match &placed.line {
            Line::Blank => return,
            Line::Tags(tags) => self.tags(placed, tags),
            Line::Header(header, name) => self.header(placed, *header, name),
            Line::Step { keyword, .. } => self.step(placed, keyword),
            Line::Row(cells) => return self.row(placed, *cells),
            Line::Block => {
                if !self.after_step || self.table.is_some() {
                    let remedy = "write it right after the step, before any table";
                    self.complain(placed, "a text block must follow a step", Some(remedy));
                }
                self.placeholders(&placed.span);
                return;
            }
            Line::Free => self.free(placed),
        }
        self.table = None;
        self.after_step = matches!(placed.line, Line::Step { .. });
    }

    fn tags(&mut self, placed: &Placed, tags: &[(String, Range<usize>)]) {
        self.tags
            .get_or_insert((placed.number, placed.span.clone()));
        let places = tags.iter().map(|(name, span)| TagPlace {
            name: name.clone(),
            span: span.clone(),
        });
        self.outline.tags.extend(places);
    }

    fn header(&mut self, placed: &Placed, header: Header, name: &str) {
        let first_line = self.tags.as_ref().map_or(placed.number, |(line, _)| *line);
        if let Some((_, span)) = self.tags.take()
            && header == Header::Background
        {
            let message = "a background cannot have tags";
            self.complain_at(span, message, Some("tag the feature or the scenarios"));
        }
        let began = !matches!(self.part, Part::Nothing);
        match header {
            Header::Feature if began => {
                let remedy = "one file has one `Feature:`; write `Rule:` or a second file";
                self.complain(placed, "a second feature in one file", Some(remedy));
            }
            Header::Feature => {
                self.name(placed, "feature", name);
                self.part = Part::Description;
            }
            _ if !began => {
                let remedy = "begin the file with `Feature: NAME`";
                self.complain(placed, "this stands before any `Feature:`", Some(remedy));
                self.part = Part::Description;
                self.header(placed, header, name);
            }
            Header::Rule => {
                self.finish(placed.number);
                self.part = Part::Description;
            }
            Header::Examples => self.examples(placed),
            Header::Background | Header::Scenario | Header::Outline => {
                self.finish(first_line);
                if header != Header::Background {
                    self.outline.scenarios += 1;
                    self.scenario_name(placed, name);
                }
                self.part = Part::Body(Body {
                    header,
                    line: placed.number,
                    first_line,
                    steps: 0,
                    rows: 0,
                    placeholders: Vec::new(),
                });
            }
        }
    }

    fn name(&mut self, placed: &Placed, what: &str, name: &str) {
        if name.is_empty() {
            let message = format!("this {what} has no name");
            self.complain(
                placed,
                &message,
                Some("say in a few words what it is about"),
            );
        }
    }

    fn scenario_name(&mut self, placed: &Placed, name: &str) {
        self.name(placed, "scenario", name);
        if name.is_empty() {
            return;
        }
        if let Some(first) = self.names.insert(name.to_owned(), placed.number) {
            let message = format!("line {first} has a scenario with the same name");
            self.complain(placed, &message, Some("say what makes this one different"));
        }
    }

    fn examples(&mut self, placed: &Placed) {
        let body = match std::mem::replace(&mut self.part, Part::Nothing) {
            Part::Body(body) | Part::Examples { of: body, .. }
                if body.header != Header::Background =>
            {
                body
            }
            other => {
                self.part = other;
                let remedy = "write them under a `Scenario Outline:`";
                return self.complain(placed, "examples of nothing", Some(remedy));
            }
        };
        if body.steps == 0 {
            self.part = Part::Body(body.clone());
        }
        self.outline.rows.insert(placed.number, Vec::new());
        self.columns.clear();
        self.part = Part::Examples {
            line: placed.number,
            of: body,
        };
    }

    fn step(&mut self, placed: &Placed, keyword: &str) {
        self.dangling_tags();
        let problem = match &mut self.part {
            Part::Nothing | Part::Description => Some((
                "a step outside of a scenario",
                "write `Scenario: NAME` before it",
            )),
            Part::Examples { .. } => Some((
                "a step after the examples",
                "move it before `Examples:`, or write `Scenario: NAME` before it",
            )),
            Part::Body(body) => {
                body.steps += 1;
                self.outline.steps += 1;
                (body.steps == 1 && ["And", "But"].contains(&keyword)).then_some((
                    "this step continues nothing",
                    "begin with `Given`, `When` or `Then`",
                ))
            }
        };
        if let Some((message, remedy)) = problem {
            self.complain(placed, message, Some(remedy));
        }
        self.placeholders(&placed.span);
    }

    fn row(&mut self, placed: &Placed, cells: usize) {
        let first = self.table.is_none();
        let expected = *self.table.get_or_insert(cells);
        if expected != cells {
            let message = format!("this row has {cells} cells, but the first one has {expected}");
            self.complain(
                placed,
                &message,
                Some("give every row of a table the same cells"),
            );
        }
        let text = self.source.text[placed.span.clone()].to_owned();
        match &mut self.part {
            Part::Examples { line, of } => {
                let line = *line;
                if first {
                    self.columns = cell_texts(&text);
                    let lacking: Vec<_> = of
                        .placeholders
                        .iter()
                        .filter(|(name, _)| !self.columns.contains(name))
                        .cloned()
                        .collect();
                    for (name, span) in lacking {
                        let message = format!("the examples have no column `{name}`");
                        let columns = self.columns.clone();
                        let remedy = crate::diagnostic::suggestion(
                            &name,
                            columns.iter().map(String::as_str),
                        );
                        self.found.push(self.source.complain(span, message, remedy));
                    }
                } else {
                    of.rows += 1;
                    self.outline
                        .rows
                        .entry(line)
                        .or_default()
                        .push(placed.number);
                }
            }
            _ if !self.after_step && !first => {}
            _ if !self.after_step => {
                self.complain(placed, "a table must follow a step or `Examples:`", None);
            }
            _ => self.placeholders(&placed.span),
        }
    }

    fn free(&mut self, placed: &Placed) {
        self.dangling_tags();
        let text = self.source.text[placed.span.clone()].to_owned();
        let (message, remedy) = match &self.part {
            Part::Nothing => (
                "this stands before any `Feature:`",
                meant(&text, false).unwrap_or_else(|| "begin the file with `Feature: NAME`".to_owned()),
            ),
            Part::Description => match meant(&text, false) {
                Some(remedy) => ("this looks like a misspelt keyword", remedy),
                None => return,
            },
            Part::Body(body) if body.steps == 0 => match meant(&text, true) {
                Some(remedy) => ("this is no step, but looks like one", remedy),
                None => return,
            },
            Part::Examples { .. } if self.table.is_none() && meant(&text, true).is_none() => return,
            Part::Body(_) | Part::Examples { .. } => (
                "this line is neither a step nor anything else",
                meant(&text, true).unwrap_or_else(|| {
                    "begin it with `Given`, `When`, `Then`, `And` or `But`, or with `#` for a comment"
                        .to_owned()
                }),
            ),
        };
        self.complain(placed, message, Some(&remedy));
    }

    /// Remembers `<names>` in a step; they mean something when examples follow.
    fn placeholders(&mut self, span: &Range<usize>) {
        let Part::Body(body) = &mut self.part else {
            return;
        };
        let mut start = span.start;
        let text = &self.source.text;
        while let Some(open) = text[start..span.end].find('<') {
            let open = start + open;
            let Some(length) = text[open..span.end].find('>') else {
                return;
            };
            let name = &text[open + 1..open + length];
            if !name.is_empty() && name.trim() == name {
                body.placeholders
                    .push((name.to_owned(), open..open + length + 1));
            }
            start = open + length + 1;
        }
    }

    fn dangling_tags(&mut self) {
        if let Some((_, span)) = self.tags.take() {
            let remedy = "write them right before `Feature:`, `Rule:`, `Scenario:` or `Examples:`";
            self.complain_at(span, "these tags belong to nothing", Some(remedy));
        }
    }

    /// Ends the part that was read; `next_line` belongs to the next one.
    fn finish(&mut self, next_line: usize) {
        let part = std::mem::replace(&mut self.part, Part::Nothing);
        let body = match part {
            Part::Nothing | Part::Description => return,
            Part::Body(body) | Part::Examples { of: body, .. } => body,
        };
        let what = match body.header {
            Header::Background => "background",
            _ => "scenario",
        };
        if body.steps == 0 {
            let message = format!("this {what} has no steps");
            let remedy = "write `Given`, `When` or `Then` steps, or remove it".to_owned();
            self.found
                .push(self.source.complain_line(body.line, message, Some(remedy)));
        } else if body.header == Header::Outline && body.rows == 0 {
            let remedy = "add `Examples:` with a table of at least two rows".to_owned();
            let message = "this outline has no examples";
            self.found
                .push(self.source.complain_line(body.line, message, Some(remedy)));
        }
        if body.header != Header::Background {
            self.outline
                .extents
                .insert(body.line, body.first_line..next_line);
        }
    }

    fn end(&mut self, lines: usize) {
        self.dangling_tags();
        let empty = match self.part {
            Part::Nothing if self.found.is_empty() => Some("there is no feature in this file"),
            _ => None,
        };
        self.finish(lines + 1);
        if let Some(message) = empty {
            let remedy = "begin it with `Feature: NAME`, or remove the file".to_owned();
            let path = self.source.path.clone();
            self.found
                .push(Diagnostic::whole(path, message, Some(remedy)));
        } else if self.outline.scenarios == 0 && self.found.is_empty() {
            let remedy = "write `Scenario: NAME`, or remove the file".to_owned();
            let path = self.source.path.clone();
            self.found.push(Diagnostic::whole(
                path,
                "this feature has no scenarios",
                Some(remedy),
            ));
        }
    }

    fn complain(&mut self, placed: &Placed, message: &str, remedy: Option<&str>) {
        self.complain_at(placed.span.clone(), message, remedy);
    }

    fn complain_at(&mut self, span: Range<usize>, message: &str, remedy: Option<&str>) {
        let remedy = remedy.map(str::to_owned);
        self.found.push(self.source.complain(span, message, remedy));
    }
}

fn cell_texts(row: &str) -> Vec<String> {
    row.trim_matches('|')
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect()
}
