//! All feature files as `cargo test` runs them. The test runner's own options (`--nocapture`, filters) do not apply to
//! drills: use `cargo drill run` to choose.

use std::process::ExitCode;

fn main() -> ExitCode {
    firedrill::cli::test_main()
}
