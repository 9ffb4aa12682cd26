//! Child processes that cannot outlive the harness.
//!
//! The kernel's parent-death signal follows the *thread* that forked, not the process, so every child is spawned from
//! one OS thread, the keeper, which lives as long as its [`Processes`]. It also reaps: one `poll` on the children's
//! process descriptors and on the channel of orders, no signal handler, no runtime.
//!
//! Each child leads a process group of its own. When it has ended, whatever is left of its group is killed before it
//! is reaped, as a container would do, so the group's number cannot have been given to anybody else meanwhile.

mod keeper;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, PipeWriter, Write},
    os::{fd::AsFd, unix::process::ExitStatusExt},
    path::PathBuf,
    process::ExitStatus,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use keeper::Keeper;
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, Signal as ProcessSignal, kill_process, kill_process_group},
};
use tokio::sync::{oneshot, watch};

use crate::testbed::TestbedError;

/// The user that a child runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What is to be started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its working folder.
    pub folder: PathBuf,
    /// Its whole environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// The file that its standard output and error are appended to.
    pub log: PathBuf,
    /// Another user to run as; needs root.
    pub user: Option<User>,
    /// What the kernel sends it when the harness dies.
    pub death_signal: DeathSignal,
}

/// What the kernel sends a child when the harness dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeathSignal {
    /// SIGKILL: for everything that leaves nothing behind.
    Kill,
    /// SIGQUIT: PostgreSQL's immediate shutdown, which ends its own children and removes its shared memory.
    Quit,
}

/// The keeper of all children of a run. Dropping it kills and reaps those that are left.
#[derive(Debug)]
pub struct Processes {
    orders: Mutex<Option<mpsc::Sender<Order>>>,
    wake: Mutex<PipeWriter>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// Where a child writes to, other than a log.
#[derive(Debug)]
pub struct Output {
    /// Its standard output.
    pub out: PipeWriter,
    /// Its standard error.
    pub err: PipeWriter,
}

/// A child. Dropping it does not end the process; the keeper does when it is dropped.
#[derive(Debug, Clone)]
pub struct Process {
    pid: Pid,
    ended: watch::Receiver<Option<ExitStatus>>,
    /// True once reaped; held while a signal is sent, so that none hits a stranger with the same number.
    reaped: Arc<Mutex<bool>>,
}

struct Order {
    launch: Launch,
    output: Option<Output>,
    answer: oneshot::Sender<io::Result<Fresh>>,
}

/// A process that nobody has taken yet: whoever asked for it may have given up, and then nobody would ever end it.
struct Fresh(Option<Process>);

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(process) = self.0.take() {
            let _ = process.signal_group(ProcessSignal::KILL);
        }
    }
}

impl Processes {
    /// Starts the keeper.
    ///
    /// # Errors
    /// No thread or pipe can be had.
    pub fn start() -> Result<Self, TestbedError> {
        let failed = |error: io::Error| TestbedError::Failed {
            doing: "starting the thread that keeps child processes".to_owned(),
            reason: error.to_string(),
        };
        let (orders, waiting) = mpsc::channel();
        let (wake_reader, wake) = io::pipe().map_err(failed)?;
        let keeper = std::thread::Builder::new()
            .name("firedrill-keeper".to_owned())
            .spawn(move || {
                Keeper {
                    wake: wake_reader,
                    waiting,
                    kept: Vec::new(),
                }
                .keep()
            })
            .map_err(failed)?;
        Ok(Self {
            orders: Mutex::new(Some(orders)),
            wake: Mutex::new(wake),
            keeper: Mutex::new(Some(keeper)),
        })
    }

    /// Starts a process and returns when its program runs.
    ///
    /// # Errors
    /// The log cannot be opened or the program cannot be executed.
    pub async fn spawn(&self, launch: Launch) -> Result<Process, TestbedError> {
        self.order(launch, None).await
    }

    /// Starts a process that writes into pipes instead of its log.
    ///
    /// # Errors
    /// The program cannot be executed.
    pub async fn spawn_into(
        &self,
        launch: Launch,
        output: Output,
    ) -> Result<Process, TestbedError> {
        self.order(launch, Some(output)).await
    }

    async fn order(&self, launch: Launch, output: Option<Output>) -> Result<Process, TestbedError> {
        let doing = format!("starting {}", launch.program.display());
        let failed = |reason: String| TestbedError::Failed {
            doing: doing.clone(),
            reason,
        };
        let (answer, answered) = oneshot::channel();
        let sent = lock(&self.orders).as_ref().is_some_and(|orders| {
            orders
                .send(Order {
                    launch,
                    output,
                    answer,
                })
                .is_ok()
        });
        if !sent || lock(&self.wake).write_all(b"o").is_err() {
            return Err(failed(
                "the thread that keeps child processes has ended".to_owned(),
            ));
        }
        let gone = || failed("the thread that keeps child processes has ended".to_owned());
        match answered.await {
            Ok(Ok(mut fresh)) => fresh.0.take().ok_or_else(gone),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(gone()),
        }
    }
}

impl Processes {
    /// Kills and reaps every child that is left, and ends the keeper. Blocks until that is done.
    pub fn close(&self) {
        lock(&self.orders).take();
        // The keeper also wakes when the pipe is closed; a failed write changes nothing.
        let _ = lock(&self.wake).write_all(b"q");
        if let Some(keeper) = lock(&self.keeper).take() {
            let _ = keeper.join();
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.close();
    }
}

impl Process {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// How it has ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<ExitStatus> {
        *self.ended.borrow()
    }

    /// Waits until it has ended and been reaped.
    pub async fn wait(&self) -> ExitStatus {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await.map(|status| *status) {
            Ok(Some(status)) => status,
            // The keeper is gone, and it kills what it keeps before it goes.
            Ok(None) | Err(_) => ExitStatus::from_raw(ProcessSignal::KILL.as_raw()),
        }
    }

    /// Sends a signal to the process alone. `false` when it has ended already.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn signal(&self, signal: ProcessSignal) -> io::Result<bool> {
        self.while_unreaped(|| kill_process(self.pid, signal))
    }

    /// Sends a signal to the process and everything that it started. `false` when it has ended already.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn signal_group(&self, signal: ProcessSignal) -> io::Result<bool> {
        self.while_unreaped(|| kill_process_group(self.pid, signal))
    }

    /// SIGTERM, then SIGKILL to the whole group after `grace`. Returns when the process has been reaped.
    ///
    /// # Errors
    /// The kernel refuses a signal.
    pub async fn stop(&self, grace: Duration) -> io::Result<ExitStatus> {
        if !self.signal(ProcessSignal::TERM)? {
            return Ok(self.wait().await);
        }
        // A frozen process sees SIGTERM only once it runs again.
        self.signal_group(ProcessSignal::CONT)?;
        if let Ok(status) = tokio::time::timeout(grace, self.wait()).await {
            return Ok(status);
        }
        self.signal_group(ProcessSignal::KILL)?;
        Ok(self.wait().await)
    }

    fn while_unreaped(&self, send: impl FnOnce() -> rustix::io::Result<()>) -> io::Result<bool> {
        let reaped = lock(&self.reaped);
        if *reaped {
            return Ok(false);
        }
        send()?;
        Ok(true)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the descriptor of a process is watched through elsewhere: readable once the process has ended.
pub(in crate::testbed::local) fn wait_for_end(descriptor: &impl AsFd, limit: Duration) -> bool {
    let limit = rustix::event::Timespec {
        tv_sec: limit.as_secs().cast_signed(),
        tv_nsec: limit.subsec_nanos().into(),
    };
    let mut watched = [PollFd::new(descriptor, PollFlags::IN)];
    matches!(poll(&mut watched, Some(&limit)), Ok(1..))
}
