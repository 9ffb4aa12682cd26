//! Drawing complaints: the line that is meant with a mark under it.

use std::{collections::HashMap, path::Path};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{Diagnostic, Diagnostics};

impl Diagnostics {
    /// Every complaint as `path:line:column: message`, an excerpt of the file with the place marked, and the remedy.
    ///
    /// Reads the files again; a complaint whose file has no such place is shown without an excerpt. `styled` draws in
    /// colours, for terminals.
    pub fn render(&self, styled: bool) -> String {
        let mut texts: HashMap<&Path, Option<String>> = HashMap::new();
        let renderer = if styled {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let mut drawn: Vec<String> = self
            .0
            .iter()
            .map(|diagnostic| {
                let text = texts
                    .entry(&diagnostic.path)
                    .or_insert_with(|| std::fs::read_to_string(&diagnostic.path).ok());
                render_one(diagnostic, text.as_deref(), &renderer)
            })
            .collect();
        let problems = match self.0.len() {
            1 => "1 problem, nothing was started".to_owned(),
            count => format!("{count} problems, nothing was started"),
        };
        drawn.push(problems);
        drawn.join("\n\n")
    }
}

fn render_one(diagnostic: &Diagnostic, text: Option<&str>, renderer: &Renderer) -> String {
    let place = diagnostic.path.to_string_lossy();
    let excerpt = text.zip(diagnostic.span.clone()).filter(|(text, span)| {
        span.start <= span.end
            && text.is_char_boundary(span.start.min(text.len()))
            && text.is_char_boundary(span.end.min(text.len()))
            && span.end <= text.len()
    });
    let mut group = Group::with_title(Level::ERROR.primary_title(diagnostic.message.as_str()));
    match excerpt {
        Some((text, span)) => {
            group = group.element(
                Snippet::source(text)
                    .path(place.as_ref())
                    .annotation(AnnotationKind::Primary.span(one_line(text, span))),
            );
        }
        None => {
            let mut origin = Origin::path(place.as_ref());
            if diagnostic.line > 0 {
                origin = origin.line(diagnostic.line);
                if diagnostic.column > 0 {
                    origin = origin.char_column(diagnostic.column);
                }
            }
            group = group.element(origin);
        }
    }
    if let Some(remedy) = &diagnostic.remedy {
        group = group.element(Level::HELP.message(remedy.as_str()));
    }
    renderer.render(&[group])
}

/// A span cut down to its first line: tables and scenarios are named, not drawn in full.
fn one_line(text: &str, span: std::ops::Range<usize>) -> std::ops::Range<usize> {
    match text[span.clone()].find('\n') {
        Some(newline) => span.start..span.start + newline,
        None => span,
    }
}
