//! The shop page in a real browser: bought with the keyboard alone, read at phone and desktop width, and nothing of the
//! browser left behind. Where there is no browser these tests say so and do nothing, unless `FIREDRILL_BROWSER=required`.

#![allow(clippy::print_stdout, clippy::print_stderr)] // for who runs it with --nocapture

#[path = "../testbed_support/mod.rs"]
mod testbed_support;

mod death;
mod page;

use std::path::{Path, PathBuf};

use firedrill::testbed::PipelineRequest;
use tokio_util::sync::CancellationToken;

#[test]
fn acting_as_a_component() {
    testbed_support::component::serve_if_asked();
}

/// Whether to go on: with a browser, or where one is required.
fn has_browser(testbed: &dyn firedrill::testbed::Testbed) -> bool {
    let required = std::env::var("FIREDRILL_BROWSER").is_ok_and(|value| value == "required");
    let found = testbed.capabilities().has_browser;
    if !found && !required {
        eprintln!("SKIPPED: apt-get install chromium chromium-driver libnss3-tools");
    }
    found || required
}

fn request(directory: &Path) -> PipelineRequest {
    PipelineRequest {
        drill: "d0001".to_owned(),
        directory: directory.to_owned(),
        seed: 1,
        without: Vec::new(),
        settings: Default::default(),
        replicas: Default::default(),
        in_background: false,
        cancel: CancellationToken::new(),
    }
}

/// The folder for pictures: `PICTURES`, for who wants to look at them, else a temporary one.
fn pictures(temporary: &Path) -> PathBuf {
    std::env::var_os("PICTURES").map_or_else(|| temporary.to_owned(), PathBuf::from)
}
