//! The text of a file, with places in it.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use super::{Diagnostic, Diagnostics};

/// A text file that somebody wrote.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file as it is shown: relative to the working directory where possible.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

impl Source {
    /// Text that is at hand already.
    pub fn new(path: impl AsRef<Path>, text: impl Into<String>) -> Self {
        Self {
            path: shown_path(path.as_ref()),
            text: text.into(),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, Diagnostics> {
        let bytes = std::fs::read(path).map_err(|error| {
            Diagnostic::whole(
                shown_path(path),
                format!("cannot be read: {error}"),
                Some("check the path and the file's permissions".to_owned()),
            )
        })?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(path, text)),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let source = Self::new(path, String::from_utf8_lossy(error.as_bytes()));
                let (line, column) = source.position(good);
                Err(Diagnostic {
                    path: source.path,
                    line,
                    column,
                    span: None,
                    message: "is not UTF-8 text".to_owned(),
                    remedy: Some("save it as UTF-8".to_owned()),
                }
                .into())
            }
        }
    }

    /// Line and column, both from 1, of a byte; columns count characters.
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let mut end = byte.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// The bytes of a line, counted from 1, without its end; empty at the end of the text for lines beyond it.
    pub fn line_span(&self, line: usize) -> Range<usize> {
        let mut start = 0;
        for (number, text) in self.text.split_inclusive('\n').enumerate() {
            if number + 1 == line {
                return start..start + text.trim_end_matches(['\n', '\r']).len();
            }
            start += text.len();
        }
        self.text.len()..self.text.len()
    }

    /// A complaint about some bytes of the file.
    pub fn complain(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        remedy: Option<String>,
    ) -> Diagnostic {
        let (line, column) = self.position(span.start);
        Diagnostic {
            path: self.path.clone(),
            line,
            column,
            span: Some(span),
            message: message.into(),
            remedy,
        }
    }

    /// A complaint about a line, counted from 1, without the blanks around what it says.
    pub fn complain_line(
        &self,
        line: usize,
        message: impl Into<String>,
        remedy: Option<String>,
    ) -> Diagnostic {
        let span = self.line_span(line);
        let text = &self.text[span.clone()];
        let start = span.start + (text.len() - text.trim_start().len());
        let end = (span.end - (text.len() - text.trim_end().len())).max(start);
        self.complain(start..end, message, remedy)
    }
}

/// A path as it is shown to people: relative to the working directory where possible.
pub fn shown_path(path: &Path) -> PathBuf {
    let Ok(here) = std::env::current_dir() else {
        return path.to_owned();
    };
    match path.strip_prefix(&here) {
        Ok(relative) if !relative.as_os_str().is_empty() => relative.to_owned(),
        _ => path.to_owned(),
    }
}
