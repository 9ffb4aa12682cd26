//! Every program of the pipeline starts by the lines of its README, against nothing but a database and a broker, and says
//! what is missing where one of them is.
//!
//! The lines are run as they stand, but for the ports, which are free ones, and the address of the database.

use std::{
    collections::BTreeMap,
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Once,
    time::{Duration, Instant},
};

use firedrill::topology::{Program, Template, TemplatePart, Topology};
use serde_json::Value;
use service_testing::{TestDatabase, database};

/// Longest wait for a program to get ready, to say something or to end; it may have to be built first.
const LIMIT: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(50);
/// What a program ends with when its settings are bad.
const EXIT_BAD_SETTINGS: i32 = 78;
/// Where the lines of the READMEs expect PostgreSQL and the broker.
const DATABASE: &str = "127.0.0.1:5432";
const BROKER: &str = "127.0.0.1:9092";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn topology() -> Topology {
    Topology::load(&root().join("system-under-test/topology.toml")).expect("the topology is good")
}

/// The shell lines under the headings of a README that end like this.
fn blocks(readme: &Path, heading: &str) -> Vec<String> {
    let text = std::fs::read_to_string(readme)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", readme.display()));
    let (mut under, mut inside, mut found) = (false, false, Vec::new());
    for line in text.lines() {
        match line {
            "```sh" if under => {
                inside = true;
                found.push(String::new());
            }
            "```" => inside = false,
            _ if inside => {
                let block = found.last_mut().expect("a block has begun");
                block.push_str(line);
                block.push('\n');
            }
            _ if line.starts_with('#') => under = line.ends_with(heading),
            _ => {}
        }
    }
    found
}

/// What is run to start one component: `cargo run --bin PACKAGE`, with its arguments.
fn command_lines() -> BTreeMap<String, (PathBuf, String)> {
    let mut lines = BTreeMap::new();
    for (name, component) in &topology().components {
        let Program::Cargo { package } = &component.program else {
            continue;
        };
        let mut line = format!("cargo run --bin {package}");
        if !component.arguments.is_empty() {
            line = format!("{line} -- {}", words(&component.arguments));
        }
        let readme = root().join(format!("system-under-test/{package}/README.md"));
        lines.insert(name.clone(), (readme, line));
    }
    lines
}

/// Arguments as they are typed; none of these holds a placeholder.
fn words(arguments: &[Template]) -> String {
    let parts = arguments.iter().flat_map(|argument| &argument.parts);
    let texts = parts.map(|part| match part {
        TemplatePart::Text(text) => text.as_str(),
        other => panic!("an argument of a program of ours has a placeholder: {other:?}"),
    });
    texts.collect::<Vec<_>>().join(" ")
}

/// The lines that start each component.
fn alone() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, (readme, line)) in command_lines() {
        let mut fitting: Vec<_> = blocks(&readme, "alone")
            .into_iter()
            .filter(|block| block.lines().last() == Some(line.as_str()))
            .collect();
        let place = readme.display();
        assert_eq!(
            fitting.len(),
            1,
            "{place}: one block of shell lines under a heading that ends in `alone` must end with `{line}`"
        );
        found.insert(name, fitting.remove(0));
    }
    found
}

/// Free ports in place of those of the READMEs, the same for the same.
#[derive(Default)]
struct Ports(BTreeMap<String, String>);

impl Ports {
    fn instead_of(&mut self, address: &str) -> String {
        let taken = self.0.entry(address.to_owned()).or_insert_with(|| {
            let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
            free.local_addr().expect("its address").to_string()
        });
        taken.clone()
    }

    fn exchange(&mut self, lines: &str) -> String {
        let parts: Vec<_> = lines.split("127.0.0.1:").collect();
        let mut text = parts[0].to_owned();
        for part in &parts[1..] {
            let digits = part.chars().take_while(char::is_ascii_digit).count();
            let address = self.instead_of(&format!("127.0.0.1:{}", &part[..digits]));
            text.push_str(&address);
            text.push_str(&part[digits..]);
        }
        text
    }
}

/// The names that the lines give a value, but for what need not be given.
fn given(lines: &str) -> Vec<String> {
    let exports = lines
        .lines()
        .filter_map(|line| line.strip_prefix("export "));
    let names = exports.filter_map(|line| line.split_once('='));
    let names = names.map(|(name, _)| name.to_owned());
    names.filter(|name| name != "DEFENCES_OFF").collect()
}

/// A program that was started by a shell.
struct Started {
    name: String,
    process: Child,
    log: tempfile::NamedTempFile,
}

impl Started {
    /// Runs lines in the repository's root. The shell becomes the last command, so that signals reach the program.
    fn new(name: &str, lines: &str) -> Self {
        let log = tempfile::NamedTempFile::new().expect("a file for the log");
        let appending = || File::options().append(true).open(log.path());
        let writer = || Stdio::from(appending().expect("the log can be written"));
        let (first, last) = match lines.trim_end().rsplit_once('\n') {
            Some((first, last)) => (first, last),
            None => ("", lines.trim_end()),
        };
        let settings: Vec<_> = topology()
            .components
            .values()
            .flat_map(|component| component.settings.keys().cloned().collect::<Vec<_>>())
            .chain(["INSTANCE", "LISTEN_HTTP", "DEFENCES_OFF"].map(str::to_owned))
            .collect();
        let mut shell = Command::new("sh");
        for name in settings {
            shell.env_remove(name);
        }
        // What the cargo that runs the tests tells them would have the other one build dependencies anew.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let chosen_by_the_user = ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_NET_OFFLINE"];
            let of_cargo = text.starts_with("CARGO") && !chosen_by_the_user.contains(&&*text);
            if of_cargo || text == "LD_LIBRARY_PATH" {
                shell.env_remove(&name);
            }
        }
        let process = shell
            .args(["-eu", "-c", &format!("{first}\nexec {last}")])
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(writer())
            .stderr(writer())
            .spawn()
            .expect("a shell runs");
        Self {
            name: name.to_owned(),
            process,
            log,
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).expect("the log can be read")
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("the process can be asked")
    }

    async fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(
                begun.elapsed() < LIMIT,
                "{} does not end: {}",
                self.name,
                self.log()
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks for readiness until the answer is as wanted.
    async fn until(&mut self, http: &str, what: &str, wanted: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        let mut last = "nothing yet".to_owned();
        while begun.elapsed() < LIMIT {
            if let Some(status) = self.ended() {
                panic!("{} ended with {status}: {}", self.name, self.log());
            }
            if let Ok(answer) = reqwest::get(format!("http://{http}/health/ready")).await
                && let Ok(readiness) = answer.json::<Value>().await
            {
                if wanted(&readiness) {
                    return;
                }
                last = readiness.to_string();
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!(
            "{} does not say {what}, but {last}: {}",
            self.name,
            self.log()
        );
    }

    /// Asks it to end, and expects that it does so of its own accord.
    async fn terminate(mut self) {
        let pid = i32::try_from(self.process.id()).expect("a process id");
        let pid = rustix::process::Pid::from_raw(pid).expect("a process id");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it still runs");
        let status = self.end().await;
        assert!(
            status.success(),
            "{} ended with {status} at SIGTERM: {}",
            self.name,
            self.log()
        );
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _already_reaped = self.process.wait();
    }
}

/// What there is besides the program.
#[derive(Clone, Copy)]
struct Surroundings {
    database: bool,
    broker: bool,
}

/// Made once: programs that start at the same time must not find a key and another one's certificate.
static CERTIFICATE: Once = Once::new();

fn make_certificate(readme: &Path) {
    let lines = blocks(readme, "A certificate").concat();
    let made = Command::new("sh")
        .args(["-eu", "-c", &lines])
        .current_dir(root())
        .output()
        .expect("a shell runs");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "no certificate was made: {said}");
}

/// Starts each component in these surroundings, waits for what it says, and ends it.
async fn starts(surroundings: Surroundings, what: &str, wanted: impl Fn(&str, &Value) -> bool) {
    // An error means that it is installed already.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    let shared = root().join("system-under-test/README.md");
    CERTIFICATE.call_once(|| make_certificate(&shared));
    let mut ports = Ports::default();
    let mut broker = None;
    if surroundings.broker {
        let lines = blocks(&shared, "A broker").concat();
        broker = Some(Started::new("kafka-broker", &ports.exchange(&lines)));
    }
    for (name, lines) in alone() {
        if what != "ready" && !wanted(&lines, &Value::Null) {
            continue;
        }
        let database: Option<TestDatabase> = match surroundings.database {
            true => Some(database(&[]).await),
            false => None,
        };
        let mut replaced = String::new();
        for line in lines.lines() {
            match &database {
                Some(database) if line.starts_with("export DATABASE_URL=") => {
                    replaced.push_str(&format!("export DATABASE_URL='{}'", database.url));
                }
                _ => replaced.push_str(&ports.exchange(line)),
            }
            replaced.push('\n');
        }
        let http = replaced
            .lines()
            .find_map(|line| line.strip_prefix("export LISTEN_HTTP="))
            .unwrap_or_else(|| panic!("{name}: the lines say `export LISTEN_HTTP=...`"))
            .to_owned();
        let mut program = Started::new(&name, &replaced);
        program
            .until(&http, what, |readiness| wanted(&lines, readiness))
            .await;
        program.terminate().await;
    }
    if let Some(broker) = broker {
        broker.terminate().await;
    }
}

/// Whether some reason begins like this; asked without an answer, whether the lines need what it is about.
fn says(readiness: &Value, reason: &str) -> bool {
    let reasons = readiness["reasons"].as_array();
    readiness["ready"] == false
        && reasons
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .any(|said| said.starts_with(reason))
}

#[tokio::test]
async fn every_program_starts_by_the_lines_of_its_readme() {
    let all = Surroundings {
        database: true,
        broker: true,
    };
    starts(all, "ready", |_, readiness| readiness["ready"] == true).await;
}

#[tokio::test]
async fn without_the_database_it_waits_and_says_so() {
    let lacking = Surroundings {
        database: false,
        broker: true,
    };
    starts(lacking, "what is missing", |lines, readiness| {
        lines.contains(DATABASE) && (readiness.is_null() || says(readiness, "database: "))
    })
    .await;
}

#[tokio::test]
async fn without_the_broker_it_waits_and_says_so() {
    let lacking = Surroundings {
        database: true,
        broker: false,
    };
    let reasons = ["kafka: ", "consumer: "];
    starts(lacking, "what is missing", |lines, readiness| {
        let says_so = || reasons.iter().any(|reason| says(readiness, reason));
        // The batch keeps no place in a group: it tries again with every batch, and is ready meanwhile.
        lines.contains(BROKER)
            && !lines.ends_with("-- batch\n")
            && (readiness.is_null() || says_so())
    })
    .await;
}

#[tokio::test]
async fn without_any_setting_it_names_all_that_are_missing() {
    for (name, lines) in alone() {
        let last = lines.lines().last().expect("a block has lines");
        let mut program = Started::new(&name, last);
        let status = program.end().await;
        let said = program.log();
        assert_eq!(status.code(), Some(EXIT_BAD_SETTINGS), "{name}: {said}");
        for setting in given(&lines) {
            let complaint = format!("{setting}: is missing, it must be ");
            assert!(
                said.contains(&complaint),
                "{name} does not say `{complaint}...`: {said}"
            );
        }
    }
}
