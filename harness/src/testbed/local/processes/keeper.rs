//! The thread that starts and reaps.

use std::{
    fs::{File, OpenOptions},
    io::{self, PipeReader, Read},
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{
        Pid, PidfdFlags, Signal as ProcessSignal, getpid, getppid, kill_process_group, pidfd_open,
        set_parent_process_death_signal,
    },
};
use tokio::sync::watch;

use super::{DeathSignal, Fresh, Launch, Order, Output, Process, lock};

/// A child, until it is reaped.
pub(super) struct Kept {
    child: Child,
    descriptor: OwnedFd,
    ended: watch::Sender<Option<ExitStatus>>,
    reaped: Arc<Mutex<bool>>,
    pid: Pid,
}

/// What the keeper thread owns.
pub(super) struct Keeper {
    pub(super) wake: PipeReader,
    pub(super) waiting: mpsc::Receiver<Order>,
    pub(super) kept: Vec<Kept>,
}

impl Keeper {
    pub(super) fn keep(mut self) {
        let mut closing = false;
        while !closing || !self.kept.is_empty() {
            let (woken, ready) = self.wait_for_something();
            for place in ready.into_iter().rev() {
                self.reap(place);
            }
            if woken && !closing {
                closing = self.carry_out_orders();
                if closing {
                    for kept in &self.kept {
                        let _ = kill_process_group(kept.pid, ProcessSignal::KILL);
                    }
                }
            }
        }
    }

    /// Blocks. Whether an order waits, and the places in `kept` whose processes have ended.
    fn wait_for_something(&self) -> (bool, Vec<usize>) {
        let mut watched = Vec::with_capacity(self.kept.len() + 1);
        watched.push(PollFd::new(&self.wake, PollFlags::IN));
        watched.extend(
            self.kept
                .iter()
                .map(|kept| PollFd::new(&kept.descriptor, PollFlags::IN)),
        );
        if poll(&mut watched, None).is_err() {
            return (false, Vec::new()); // interrupted by a signal: look again
        }
        let happened: Vec<bool> = watched.iter().map(|fd| !fd.revents().is_empty()).collect();
        let ended = (0..self.kept.len())
            .filter(|place| happened[place + 1])
            .collect();
        (happened[0], ended)
    }

    /// Whether everything is to end.
    fn carry_out_orders(&mut self) -> bool {
        let mut bytes = [0; 64];
        if !matches!(self.wake.read(&mut bytes), Ok(1..)) {
            return true;
        }
        loop {
            match self.waiting.try_recv() {
                Ok(order) => {
                    let launched = self.launch(&order.launch, order.output);
                    let _ = order
                        .answer
                        .send(launched.map(|process| Fresh(Some(process))));
                }
                Err(mpsc::TryRecvError::Empty) => return false,
                Err(mpsc::TryRecvError::Disconnected) => return true,
            }
        }
    }

    fn launch(&mut self, launch: &Launch, output: Option<Output>) -> io::Result<Process> {
        let (out, err) = match output {
            Some(output) => (output.out.into(), output.err.into()),
            None => {
                let log = open_log(&launch.log)?;
                (Stdio::from(log.try_clone()?), Stdio::from(log))
            }
        };
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.arguments)
            .current_dir(&launch.folder)
            .env_clear()
            .envs(&launch.environment)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0);
        if let Some(user) = launch.user {
            command.uid(user.uid).gid(user.gid);
        }
        tie_to_this_thread(&mut command, launch.death_signal);
        let mut child = command.spawn()?;
        let watched = Pid::from_raw(child.id().cast_signed())
            .ok_or_else(|| io::Error::other("a child without a process id"))
            .and_then(|pid| Ok((pid, pidfd_open(pid, PidfdFlags::empty())?)));
        let (pid, descriptor) = match watched {
            Ok(watched) => watched,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let (ended, seen) = watch::channel(None);
        let reaped = Arc::new(Mutex::new(false));
        self.kept.push(Kept {
            child,
            descriptor,
            ended,
            reaped: Arc::clone(&reaped),
            pid,
        });
        Ok(Process {
            pid,
            ended: seen,
            reaped,
        })
    }

    /// The process has ended and is a zombie: end its group, reap it, tell everybody.
    fn reap(&mut self, place: usize) {
        let kept = &mut self.kept[place];
        let mut reaped = lock(&kept.reaped);
        let _ = kill_process_group(kept.pid, ProcessSignal::KILL);
        let status = match kept.child.try_wait() {
            Ok(Some(status)) => status,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(pid = ?kept.pid, %error, "a child could not be reaped");
                ExitStatus::from_raw(ProcessSignal::KILL.as_raw())
            }
        };
        *reaped = true;
        drop(reaped);
        kept.ended.send_replace(Some(status));
        self.kept.swap_remove(place);
    }
}

fn tie_to_this_thread(command: &mut Command, death_signal: DeathSignal) {
    let signal = match death_signal {
        DeathSignal::Kill => ProcessSignal::KILL,
        DeathSignal::Quit => ProcessSignal::QUIT,
    };
    let harness = getpid();
    let tie = move || {
        // A shell that starts the harness with `&` has it ignore SIGINT and SIGQUIT, and so would every program that it
        // starts until that has handlers of its own: of a harness that dies meanwhile PostgreSQL would not be told.
        for ignored in [libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
            // SAFETY: a system call with numbers only; the default action is no code of ours.
            if unsafe { libc::signal(ignored, libc::SIG_DFL) } == libc::SIG_ERR {
                return Err(io::Error::last_os_error());
            }
        }
        set_parent_process_death_signal(Some(signal))?;
        // The harness may have died between the fork and the line above; nothing would be sent any more.
        if getppid() == Some(harness) {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(
                rustix::io::Errno::CHILD.raw_os_error(),
            ))
        }
    };
    // SAFETY: between fork and exec only system calls are made; nothing is allocated and no lock is taken.
    // It runs after the user has been changed, which would have cleared the signal.
    unsafe {
        command.pre_exec(tie);
    }
}

fn open_log(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("log {}: {error}", path.display())))
}
