//! A process of a small system.

use std::{
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
};

use firedrill::testbed::{
    Exit, Signal, TestbedError,
    local::ports::{Port, Ports},
};
use tokio::sync::watch;

use super::{
    pipeline::failed,
    victim::{self, Role},
};

/// A child process that can be killed and started again.
pub(crate) struct Process {
    name: String,
    pub(crate) address: SocketAddr,
    /// Nobody else gets them between two lives of the process.
    _ports: Vec<Port>,
    role: Role,
    state: Mutex<State>,
    ends: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    pid: Option<u32>,
    exits: Vec<Exit>,
}

impl Process {
    /// A process that is not started yet; it keeps `ports` besides its own.
    pub(crate) fn new(name: &str, role: Role, mut ports: Vec<Port>) -> Arc<Self> {
        let port = Ports::new().reserve().expect("a free port");
        let address = port.address();
        ports.push(port);
        Arc::new(Self {
            name: name.to_owned(),
            address,
            _ports: ports,
            role,
            state: Mutex::default(),
            ends: watch::Sender::new(0),
        })
    }

    pub(crate) fn start(self: &Arc<Self>) -> Result<(), TestbedError> {
        let mut child = tokio::process::Command::from(victim::command(self.address, &self.role))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&format!("starting {}", self.name), &error.to_string()))?;
        self.state().pid = child.id();
        let process = Arc::clone(self);
        tokio::spawn(async move {
            let status = child.wait().await.expect("the child can be waited for");
            let count = {
                let mut state = process.state();
                state.pid = None;
                state.exits.push(Exit {
                    code: status.code(),
                    signal: status.signal(),
                    expected: false,
                });
                state.exits.len()
            };
            process.ends.send_replace(count);
        });
        Ok(())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), TestbedError> {
        let signal = match signal {
            Signal::Kill => rustix::process::Signal::KILL,
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Stop => rustix::process::Signal::STOP,
            Signal::Continue => rustix::process::Signal::CONT,
        };
        let pid = self.state().pid.and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(rustix::process::Pid::from_raw);
        let doing = format!("sending a signal to {}", self.name);
        let pid = pid.ok_or_else(|| failed(&doing, "it does not run"))?;
        rustix::process::kill_process(pid, signal)
            .map_err(|error| failed(&doing, &error.to_string()))
    }

    pub(crate) fn runs(&self) -> bool {
        self.state().pid.is_some()
    }

    pub(crate) fn exits(&self) -> Vec<Exit> {
        self.state().exits.clone()
    }

    /// How it ended after it had ended `seen` times.
    pub(crate) async fn exit_after(&self, seen: usize) -> Exit {
        let mut ends = self.ends.subscribe();
        ends.wait_for(|count| *count > seen)
            .await
            .expect("it is watched");
        self.state().exits[seen].clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
