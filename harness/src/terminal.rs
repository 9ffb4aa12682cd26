//! Lines for whoever reads along.
//!
//! `println!` panics when its reader has gone (`firedrill run | head -1`). What a run recorded must not be lost for that:
//! here such lines go nowhere, and the exit code says the same as with a reader.

use std::fmt::Display;
use std::io::{self, Write as _};

/// A line on standard output.
pub fn say(line: impl Display) {
    let _written = writeln!(io::stdout().lock(), "{line}");
}

/// A line on standard error.
pub fn complain(line: impl Display) {
    let _written = writeln!(io::stderr().lock(), "{line}");
}
