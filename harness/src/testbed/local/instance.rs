//! One instance of a component: its process now, and how its earlier processes ended.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::process::Signal as ProcessSignal;
use tokio::{net::TcpStream, sync::watch, time::Instant};

use super::{
    log_tail,
    ports::Port,
    processes::{Launch, Process, Processes},
};
use crate::testbed::{Exit, Signal, TestbedError};

/// How often an instance that starts is asked whether it is ready.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(40);
/// How long one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// How much of an answer a message repeats, in characters.
const MOST_ANSWER: usize = 300;

/// How it is told that an instance can serve.
#[derive(Debug, Clone)]
pub(super) enum Probe {
    /// This URL answers 200.
    Url(String),
    /// All of its ports accept connections.
    Ports(Vec<SocketAddr>),
}

/// What an instance is made of.
#[derive(Debug)]
pub(super) struct InstancePlan {
    pub(super) name: String,
    /// Stay reserved while it is down.
    pub(super) ports: BTreeMap<String, Port>,
    pub(super) launch: Launch,
    pub(super) probe: Probe,
}

/// An instance.
#[derive(Debug)]
pub(super) struct Instance {
    plan: InstancePlan,
    life: Arc<Life>,
}

#[derive(Debug)]
struct Life {
    state: Mutex<State>,
    /// How many processes of it have ended.
    ended: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    process: Option<Process>,
    exits: Vec<Exit>,
    /// The harness wants it to end.
    ending: bool,
}

impl Instance {
    pub(super) fn new(plan: InstancePlan) -> Self {
        let life = Arc::new(Life {
            state: Mutex::default(),
            ended: watch::Sender::new(0),
        });
        Self { plan, life }
    }

    pub(super) fn log(&self) -> &Path {
        &self.plan.launch.log
    }

    pub(super) fn address(&self, port: &str) -> Option<SocketAddr> {
        self.plan.ports.get(port).map(Port::address)
    }

    /// Starts its process.
    pub(super) async fn start(&self, processes: &Processes) -> Result<(), TestbedError> {
        if self.life.state().process.is_some() {
            return Err(self.failed("starting", "it runs already"));
        }
        let process = processes.spawn(self.plan.launch.clone()).await?;
        {
            let mut state = self.life.state();
            state.process = Some(process.clone());
            state.ending = false;
        }
        let life = Arc::clone(&self.life);
        tokio::spawn(async move {
            let status = process.wait().await;
            life.note(status);
        });
        Ok(())
    }

    /// Sends a signal. Freezing, thawing and killing mean everything that the instance has started, as they would for
    /// a container; SIGTERM goes to its own process.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), TestbedError> {
        let process = self.life.state().process.clone();
        let sent = match (&process, signal) {
            (None, _) => Ok(false),
            (Some(process), Signal::Kill) => process.signal_group(ProcessSignal::KILL),
            (Some(process), Signal::Stop) => process.signal_group(ProcessSignal::STOP),
            (Some(process), Signal::Continue) => process.signal_group(ProcessSignal::CONT),
            (Some(process), Signal::Terminate) => process.signal(ProcessSignal::TERM),
        };
        match sent {
            Ok(true) => Ok(()),
            // What has ended meanwhile is not frozen any more.
            Ok(false) if signal == Signal::Continue => Ok(()),
            Ok(false) => Err(self.failed("signalling", "it does not run")),
            Err(error) => Err(self.failed("signalling", &error.to_string())),
        }
    }

    /// What its process holds in RAM, as the kernel says (`VmRSS` in `/proc/PID/status`).
    pub(super) fn resident_memory_bytes(&self) -> Option<u64> {
        let process = self.life.state().process.clone()?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).ok()?;
        // While it was read the process may have ended, and its number may be another's.
        process.ended().is_none().then_some(())?;
        resident_bytes(&status)
    }

    pub(super) fn exits(&self) -> Vec<Exit> {
        self.life.state().exits.clone()
    }

    /// Waits for the exit after the first `seen`.
    pub(super) async fn wait_for_exit(&self, seen: usize) -> Exit {
        let mut ended = self.life.ended.subscribe();
        // The sender lives in `self`, so the channel cannot close meanwhile.
        let _ = ended.wait_for(|count| *count > seen).await;
        let state = self.life.state();
        state.exits.get(seen).cloned().unwrap_or(Exit {
            code: None,
            signal: None,
            expected: false,
        })
    }

    /// Waits until it can serve; gives up as soon as its process has ended.
    pub(super) async fn ready(
        &self,
        client: &reqwest::Client,
        within: Duration,
    ) -> Result<(), TestbedError> {
        let started = Instant::now();
        let seen = self.life.state().exits.len();
        let mut last = "it has not been asked".to_owned();
        let mut ask_again = tokio::time::interval(ASK_AGAIN_AFTER);
        ask_again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let asking = async {
            loop {
                ask_again.tick().await;
                match ask(&self.plan.probe, client).await {
                    Ok(()) => return,
                    Err(answer) => last = answer,
                }
            }
        };
        let exit = tokio::select! {
            exit = self.ended_since(seen) => Some(exit),
            outcome = tokio::time::timeout_at(started + within, asking) => match outcome {
                Ok(()) => return Ok(()),
                Err(_) => None,
            },
        };
        let reason = exit.map_or(last, |exit| describe(&exit));
        Err(TestbedError::NotReady {
            instance: self.plan.name.clone(),
            within_s: within.as_secs_f64(),
            reason: format!("{reason}\n{}", log_tail::read(self.log())),
            log: self.log().display().to_string(),
        })
    }

    /// Waits until it gives any answer at all, or has ended.
    pub(super) async fn answers(&self, client: &reqwest::Client) {
        let seen = self.life.state().exits.len();
        let asking = async {
            while !has_answered(&self.plan.probe, client).await {
                tokio::time::sleep(ASK_AGAIN_AFTER).await;
            }
        };
        tokio::select! {
            () = asking => {}
            _ = self.ended_since(seen) => {}
        }
    }

    async fn ended_since(&self, seen: usize) -> Exit {
        if self.life.state().process.is_none() && seen > 0 {
            return self.wait_for_exit(seen - 1).await;
        }
        self.wait_for_exit(seen).await
    }

    /// Ends it at once.
    pub(super) async fn kill(&self) -> Result<(), TestbedError> {
        let process = {
            let mut state = self.life.state();
            state.ending = true;
            state.process.clone()
        };
        let Some(process) = process else {
            return Ok(());
        };
        match process.signal_group(ProcessSignal::KILL) {
            Ok(_) => {
                process.wait().await;
                Ok(())
            }
            Err(error) => Err(self.failed("stopping", &error.to_string())),
        }
    }

    /// Kills it without waiting for its end.
    pub(super) fn give_up(&self) {
        let mut state = self.life.state();
        state.ending = true;
        if let Some(process) = &state.process {
            let _ = process.signal_group(ProcessSignal::KILL);
        }
    }

    fn failed(&self, doing: &str, reason: &str) -> TestbedError {
        TestbedError::Failed {
            doing: format!("{doing} {}", self.plan.name),
            reason: reason.to_owned(),
        }
    }
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

impl Life {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, status: ExitStatus) {
        let count = {
            let mut state = self.state();
            state.process = None;
            let expected = state.ending;
            state.exits.push(Exit {
                code: status.code(),
                signal: status.signal(),
                expected,
            });
            state.exits.len()
        };
        self.ended.send_replace(count);
    }
}

async fn ask(probe: &Probe, client: &reqwest::Client) -> Result<(), String> {
    match probe {
        Probe::Url(url) => {
            let answer = client.get(url).timeout(ANSWER_LIMIT).send().await;
            let answer = answer.map_err(|error| format!("{url}: {}", innermost(&error)))?;
            let status = answer.status();
            if status == reqwest::StatusCode::OK {
                return Ok(());
            }
            let body: String = answer
                .text()
                .await
                .unwrap_or_default()
                .chars()
                .take(MOST_ANSWER)
                .collect();
            Err(format!("{url} answered {status} {body}"))
        }
        Probe::Ports(addresses) => {
            for address in addresses {
                TcpStream::connect(address)
                    .await
                    .map_err(|error| format!("{address}: {error}"))?;
            }
            Ok(())
        }
    }
}

/// Whether it is there, ready or not.
async fn has_answered(probe: &Probe, client: &reqwest::Client) -> bool {
    match probe {
        Probe::Url(url) => {
            let asked = client.get(url).timeout(ANSWER_LIMIT).send();
            asked.await.is_ok()
        }
        Probe::Ports(_) => ask(probe, client).await.is_ok(),
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn describe(exit: &Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("it ended with exit code {code}"),
        (None, Some(signal)) => format!("signal {signal} ended it"),
        (None, None) => "it ended".to_owned(),
    }
}

/// The program of a command: a path is relative to the topology's folder, a bare name is looked for on PATH.
pub(super) fn program(word: &str, root: &Path) -> PathBuf {
    if word.contains('/') {
        root.join(word)
    } else {
        PathBuf::from(word)
    }
}
