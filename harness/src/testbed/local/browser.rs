//! Browsers for customers who shop in the page: Chromium and its driver, each with a profile of its own.
//!
//! Both are started by the keeper like every other child, so that they end with the harness however that ends. A browser
//! trusts the drill's certificate authority because that stands in its profile's certificate database, as an administrator
//! would put it there; it verifies certificates unless the defence that lets customers do so is off.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::process::Signal;
use serde_json::json;

use super::{
    infrastructure::Infrastructure,
    log_tail,
    ports::Port,
    processes::{DeathSignal, Launch, Process},
    warden::INSTANCE_VARIABLE,
};
use crate::testbed::{Browser, TestbedError};

/// How long a browser may take until it can be driven.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often it is asked.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// How long one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How long making a certificate database may take.
const CERTIFICATES_WITHIN: Duration = Duration::from_secs(30);

/// No window, no sandbox (it does not work for root), no traffic of its own.
const CHROMIUM_ARGUMENTS: [&str; 13] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-crash-reporter",
    "--no-first-run",
    "--no-proxy-server",
    "--lang=en",
    "about:blank",
];

/// The programs that a browser is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Programs {
    chromium: PathBuf,
    driver: PathBuf,
    certutil: PathBuf,
}

impl Programs {
    /// Looks for them.
    ///
    /// # Errors
    /// What is missing, and how to get it.
    pub(super) fn find() -> Result<Self, TestbedError> {
        // Debian's command is a script in front of the browser; a signal should reach the browser itself.
        let chromium = find(&["/usr/lib/chromium/chromium", "chromium", "chromium-browser"]);
        let driver = find(&["chromedriver", "/usr/lib/chromium-browser/chromedriver"]);
        let certutil = find(&["certutil"]);
        match (chromium, driver, certutil) {
            (Some(chromium), Some(driver), Some(certutil)) => Ok(Self {
                chromium,
                driver,
                certutil,
            }),
            (chromium, driver, certutil) => {
                let wanted = [
                    ("chromium", "chromium", chromium),
                    ("chromedriver", "chromium-driver", driver),
                    ("certutil", "libnss3-tools", certutil),
                ];
                let lacking = wanted.iter().filter(|(_, _, found)| found.is_none());
                let (programs, packages): (Vec<_>, Vec<_>) = lacking
                    .map(|(program, package, _)| (*program, *package))
                    .unzip();
                Err(TestbedError::Unsupported {
                    what: programs.join(" and "),
                    remedy: format!("apt-get install {}", packages.join(" ")),
                })
            }
        }
    }
}

fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().find_map(|name| {
        if name.starts_with('/') {
            return Some(PathBuf::from(name)).filter(|program| program.is_file());
        }
        let mut candidates = folders.iter().map(|folder| folder.join(name));
        candidates.find(|program| program.is_file())
    })
}

/// The browsers of a drill.
#[derive(Debug)]
pub(super) struct Browsers {
    folder: PathBuf,
    /// Whom they ask where names are, over HTTPS; none where names are not used.
    name_server_url: Option<String>,
    /// Whether they verify who answers.
    verify: bool,
    running: Mutex<Vec<Running>>,
}

#[derive(Debug)]
struct Running {
    processes: Vec<Process>,
    profile: PathBuf,
    /// Stay reserved as long as it runs.
    _ports: [Port; 2],
}

impl Browsers {
    /// None yet; profiles and logs will lie in the drill's folder.
    pub(super) fn new(folder: PathBuf, name_server_url: Option<String>, verify: bool) -> Self {
        Self {
            folder,
            name_server_url,
            verify,
            running: Mutex::default(),
        }
    }

    /// Starts a browser that trusts the authorities of a file, and waits until `client` finds that it can be driven.
    pub(super) async fn open(
        &self,
        infrastructure: &Infrastructure,
        trusted: &Path,
        client: &reqwest::Client,
        name: &str,
    ) -> Result<Browser, TestbedError> {
        let programs = Programs::find()?;
        let making = Making {
            infrastructure,
            client,
            name,
            profile: self.folder.join(format!("{name}.profile")),
            log: self.folder.join(format!("{name}.log")),
        };
        making.make_certificate_database(&programs, trusted).await?;
        if let Some(url) = &self.name_server_url {
            making.choose_name_server(url)?;
        }
        let ports = [
            infrastructure.ports.reserve()?,
            infrastructure.ports.reserve()?,
        ];
        let (debugger, driver) = (ports[0].address(), ports[1].address());
        let chromium = making.chromium(&programs, debugger, self.verify).await?;
        let mut running = Running {
            processes: vec![chromium],
            profile: making.profile.clone(),
            _ports: ports,
        };
        let started = making.chromedriver(&programs, driver).await;
        running.processes.extend(started.as_ref().ok().cloned());
        let processes = running.processes.clone();
        self.locked().push(running);
        started?;
        for (url, process) in [
            (format!("http://{debugger}/json/version"), &processes[0]),
            (format!("http://{driver}/status"), &processes[1]),
        ] {
            making.wait_until_answered(&url, process).await?;
        }
        Ok(Browser {
            driver_url: format!("http://{driver}"),
            debugger_address: debugger.to_string(),
        })
    }

    /// Ends every browser and removes its profile; says what failed.
    pub(super) async fn close(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let running = std::mem::take(&mut *self.locked());
        for browser in running {
            for process in &browser.processes {
                match process.signal_group(Signal::KILL) {
                    Ok(_) => drop(process.wait().await),
                    Err(error) => failures.push(format!("ending a browser: {error}")),
                }
            }
            // A profile is 20 MB of caches; what is worth keeping are the log and the pictures beside it.
            if let Err(error) = std::fs::remove_dir_all(&browser.profile) {
                tracing::warn!(%error, profile = %browser.profile.display(), "a profile was not removed");
            }
        }
        failures
    }

    /// Kills every browser without waiting for its end.
    pub(super) fn give_up(&self) {
        for process in self.locked().iter().flat_map(|browser| &browser.processes) {
            let _ = process.signal_group(Signal::KILL);
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One browser that is being started.
struct Making<'a> {
    infrastructure: &'a Infrastructure,
    client: &'a reqwest::Client,
    name: &'a str,
    profile: PathBuf,
    log: PathBuf,
}

impl Making<'_> {
    /// A certificate database in the profile's home that trusts the drill's authority, and no other of its own.
    async fn make_certificate_database(
        &self,
        programs: &Programs,
        authority: &Path,
    ) -> Result<(), TestbedError> {
        let folder = self.profile.join(".pki/nssdb");
        std::fs::create_dir_all(&folder).map_err(|error| {
            self.failed(
                "making its profile",
                &format!("{}: {error}", folder.display()),
            )
        })?;
        let database: OsString = format!("sql:{}", folder.display()).into();
        let make: [OsString; 4] = [
            "-d".into(),
            database.clone(),
            "-N".into(),
            "--empty-password".into(),
        ];
        let trust: [OsString; 9] = [
            "-d".into(),
            database,
            "-A".into(),
            "-n".into(),
            "firedrill".into(),
            "-t".into(),
            "C,,".into(),
            "-i".into(),
            authority.into(),
        ];
        for arguments in [make.to_vec(), trust.to_vec()] {
            let process = self.start(&programs.certutil, arguments).await?;
            let ended = tokio::time::timeout(CERTIFICATES_WITHIN, process.wait()).await;
            if !ended.is_ok_and(|status| status.success()) {
                let _ = process.signal_group(Signal::KILL);
                return Err(self.failed("making its certificate database", "certutil failed"));
            }
        }
        Ok(())
    }

    /// Lets the browser ask one name server and no other, as an administrator's policy would.
    fn choose_name_server(&self, url: &str) -> Result<(), TestbedError> {
        let folder = self.profile.join("chromium");
        let state = json!({ "dns_over_https": { "mode": "secure", "templates": url } });
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join("Local State"), state.to_string()))
            .map_err(|error| {
                let reason = format!("{}: {error}", folder.display());
                self.failed("choosing the name server", &reason)
            })
    }

    async fn chromium(
        &self,
        programs: &Programs,
        debugger: SocketAddr,
        verify: bool,
    ) -> Result<Process, TestbedError> {
        let mut arguments: Vec<OsString> = vec![
            format!("--remote-debugging-port={}", debugger.port()).into(),
            format!(
                "--user-data-dir={}",
                self.profile.join("chromium").display()
            )
            .into(),
        ];
        if !verify {
            arguments.push("--ignore-certificate-errors".into());
        }
        arguments.extend(CHROMIUM_ARGUMENTS.map(OsString::from));
        self.start(&programs.chromium, arguments).await
    }

    async fn chromedriver(
        &self,
        programs: &Programs,
        driver: SocketAddr,
    ) -> Result<Process, TestbedError> {
        let arguments = vec![format!("--port={}", driver.port()).into()];
        self.start(&programs.driver, arguments).await
    }

    async fn start(
        &self,
        program: &Path,
        arguments: Vec<OsString>,
    ) -> Result<Process, TestbedError> {
        let launch = Launch {
            program: program.to_owned(),
            arguments,
            folder: self.profile.clone(),
            environment: self.environment(),
            log: self.log.clone(),
            user: None,
            death_signal: DeathSignal::Kill,
        };
        self.infrastructure.processes.spawn(launch).await
    }

    /// The profile is its home: nothing of the user's own browser is read or written.
    fn environment(&self) -> BTreeMap<OsString, OsString> {
        let mut environment = self.infrastructure.run.environment();
        environment.insert(INSTANCE_VARIABLE.into(), self.name.into());
        environment.insert("HOME".into(), self.profile.clone().into());
        environment
    }

    async fn wait_until_answered(&self, url: &str, process: &Process) -> Result<(), TestbedError> {
        let asking = async {
            loop {
                let request = self.client.get(url).timeout(ANSWER_LIMIT);
                if request
                    .send()
                    .await
                    .is_ok_and(|answer| answer.status().is_success())
                {
                    return;
                }
                tokio::time::sleep(ASK_AGAIN_AFTER).await;
            }
        };
        let reason = tokio::select! {
            answered = tokio::time::timeout(READY_WITHIN, asking) => match answered {
                Ok(()) => return Ok(()),
                Err(_) => format!("{url} does not answer"),
            },
            status = process.wait() => format!("it ended: {status}"),
        };
        Err(TestbedError::NotReady {
            instance: self.name.to_owned(),
            within_s: READY_WITHIN.as_secs_f64(),
            reason: format!("{reason}\n{}", log_tail::read(&self.log)),
            log: self.log.display().to_string(),
        })
    }

    fn failed(&self, doing: &str, reason: &str) -> TestbedError {
        TestbedError::Failed {
            doing: format!("{doing} for the browser {}", self.name),
            reason: reason.to_owned(),
        }
    }
}
