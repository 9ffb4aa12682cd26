//! `report.html`: a run on one page that needs nothing else: no script, no network, no other file.
//!
//! - `timeline`: what happened in a drill, drawn from its journal
//! - `page`: everything that the template shows, in words

mod page;
mod timeline;

use std::path::{Path, PathBuf};

use askama::Template as _;

use super::verdicts::Verdicts;
use page::Page;

/// Name of the file in the run's folder.
pub const FILE: &str = "report.html";

/// The page cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum HtmlError {
    /// The template failed.
    #[error("the report cannot be put together: {0}")]
    Template(#[from] askama::Error),
    /// The file cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A run that the page shows: its folder and what came of it.
#[derive(Debug)]
pub struct ShownRun<'a> {
    /// The run's folder; journals and logs are found in it.
    pub folder: &'a Path,
    /// What came of it.
    pub verdicts: &'a Verdicts,
}

/// Writes the page of one run, or of several that belong together, whole or not at all. Links lead from `path` to the
/// runs' folders.
///
/// # Errors
/// It cannot be written. A journal that cannot be read is no error: the page says so where its timeline would be.
pub fn write(path: &Path, runs: &[ShownRun<'_>]) -> Result<(), HtmlError> {
    let beside = path.parent().unwrap_or(Path::new("."));
    let text = Page::new(beside, runs).render()?;
    let unwritable = |source| HtmlError::Unwritable {
        path: path.to_owned(),
        source,
    };
    let unfinished = path.with_extension("html.part");
    std::fs::write(&unfinished, text).map_err(unwritable)?;
    std::fs::rename(&unfinished, path).map_err(unwritable)
}
