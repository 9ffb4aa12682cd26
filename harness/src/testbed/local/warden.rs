//! Ends the children's children when the harness is killed.
//!
//! The kernel's parent-death signal reaches only the processes that the harness itself started. What those have started
//! (a shell's program, a browser's helpers) would live on until the next sweep. So a run has a warden: a shell that
//! reads from a pipe whose other end only the harness holds. However the harness dies, the kernel closes the pipe, and
//! the warden kills whatever carries the mark of one of the run's instances. PostgreSQL does not carry it: it ends by
//! itself, and needs a moment to remove its shared memory.

use std::{
    io::{self, PipeWriter, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use super::lease::{RUN_VARIABLE, RunFolder};
use crate::testbed::TestbedError;

/// The environment variable that the processes of an instance carry; its value is the instance's name.
pub(super) const INSTANCE_VARIABLE: &str = "FIREDRILL_INSTANCE";
/// Said by a harness that has ended everything itself.
const DONE: &[u8] = b"done\n";
/// `$1` is the run's mark. Several rounds, since a process may be just starting another. The status of grep says nothing:
/// it is an error too that some process is not ours to look at.
const SCRIPT: &str = r#"
read -r word
[ "$word" = done ] && exit
for round in 1 2 3 4 5; do
    marked=$(grep -lszxF "$1" /proc/[0-9]*/environ)
    [ -n "$marked" ] && marked=$(grep -lsz "^FIREDRILL_INSTANCE=" $marked)
    [ -n "$marked" ] || exit
    for environment in $marked; do
        process=${environment#/proc/}
        kill -9 "${process%/environ}"
    done
done
"#;

/// The warden of a run. Dropping it tells it that all is well.
#[derive(Debug)]
pub(super) struct Warden {
    shell: Child,
    pipe: PipeWriter,
}

impl Warden {
    /// Starts the warden of a run.
    ///
    /// # Errors
    /// There is no `/bin/sh`.
    pub(super) fn start(run: &RunFolder) -> Result<Self, TestbedError> {
        let started = || -> io::Result<Self> {
            let (reader, pipe) = io::pipe()?;
            let shell = Command::new("/bin/sh")
                .args(["-c", SCRIPT, "firedrill-warden"])
                .arg(format!("{RUN_VARIABLE}={}", run.path().display()))
                .env_clear()
                .envs(run.environment())
                .current_dir("/")
                .stdin(reader)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                // A signal to the harness' group (Ctrl-C, a time limit) is not for the warden.
                .process_group(0)
                .spawn()?;
            Ok(Self { shell, pipe })
        };
        started().map_err(|error| TestbedError::Failed {
            doing: "starting the warden of this run's processes".to_owned(),
            reason: format!("/bin/sh: {error}"),
        })
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        // If somebody has killed it there is nobody to tell.
        let _ = self.pipe.write_all(DONE);
        let _ = self.shell.wait();
    }
}
