//! The broker as a command of its own: one listener, topics from the command line, ended by Ctrl-C or SIGTERM.

use clap::Parser;
use clap::error::ErrorKind;
use kafka_broker::{Address, Broker, BrokerConfig, BrokerError};
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Something written on the command line is wrong.
const EXIT_USAGE: u8 = 64;
/// The machine lacks something, such as a free port.
const EXIT_ENVIRONMENT: u8 = 69;

/// A single-node Kafka broker in memory, for tests and for trying things out. What it holds is gone when it ends.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where it listens; port 0 takes a free one, which the first line of the output tells.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9092")]
    listen: SocketAddr,
    /// The address that clients are told to connect to, if it is another one than where it listens.
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address)]
    advertise: Option<Address>,
    /// A topic to begin with, and its number of partitions; may be given several times.
    #[arg(long = "topic", value_name = "NAME[:PARTITIONS]", value_parser = parse_topic)]
    topics: Vec<Topic>,
    /// Partitions of a topic for which no number is given.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    partitions: i32,
    /// Refuse topics that nobody created.
    #[arg(long)]
    no_auto_create: bool,
    /// Largest record batch in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = BrokerConfig::default().max_message_bytes)]
    max_message_bytes: usize,
    /// Bytes kept in each partition, the oldest dropped first [default: all].
    #[arg(long, value_name = "BYTES")]
    retention_bytes: Option<usize>,
    /// Milliseconds that records are kept, by their own time [default: for ever].
    #[arg(long, value_name = "MILLISECONDS")]
    retention_ms: Option<u64>,
    /// Most bytes of all records together.
    #[arg(long, value_name = "BYTES", default_value_t = BrokerConfig::default().max_stored_bytes)]
    max_stored_bytes: usize,
    /// Milliseconds that an empty consumer group waits for more members before its first rebalance.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100)]
    rebalance_delay_ms: u64,
    /// What is logged to standard error.
    #[arg(long, env = "LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

/// A topic to begin with.
#[derive(Clone, Debug)]
struct Topic {
    name: String,
    partitions: Option<i32>,
}

fn parse_topic(text: &str) -> Result<Topic, String> {
    let Some((name, partitions)) = text.split_once(':') else {
        return Ok(Topic {
            name: text.to_owned(),
            partitions: None,
        });
    };
    let partitions = partitions.parse().map_err(|_| {
        format!("{partitions:?} is no number of partitions: write it like orders:8")
    })?;
    Ok(Topic {
        name: name.to_owned(),
        partitions: Some(partitions),
    })
}

fn parse_address(text: &str) -> Result<Address, String> {
    let parts = text
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)));
    match parts {
        Some((host, port)) if !host.is_empty() => Ok(Address::new(host, port)),
        _ => Err("it must be a host and a port, like 127.0.0.1:9092".to_owned()),
    }
}

/// Why the command ended without having been told to.
#[derive(Debug)]
struct Failure {
    exit: u8,
    message: String,
}

impl Failure {
    fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: EXIT_USAGE,
            message: message.into(),
        }
    }

    fn environment(message: impl Into<String>) -> Self {
        Self {
            exit: EXIT_ENVIRONMENT,
            message: message.into(),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nobody is left to tell if this cannot be written.
            let _ = error.print();
            let asked_for = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            return ExitCode::from(if asked_for { 0 } else { EXIT_USAGE });
        }
    };
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "kafka-broker: {}", failure.message);
            ExitCode::from(failure.exit)
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&arguments.log).map_err(|error| {
        Failure::usage(format!(
            "--log {:?} is no filter ({error}): try info, or kafka_broker=debug",
            arguments.log
        ))
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let signals =
        |error: std::io::Error| Failure::environment(format!("cannot listen for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(signals)?;

    let broker = start(&arguments).await?;
    tokio::select! {
        _ = interrupt.recv() => tracing::info!("interrupted"),
        _ = terminate.recv() => tracing::info!("told to end"),
    }
    broker.shutdown().await;
    Ok(())
}

/// The broker with its topics and its listener, which standard output tells of.
async fn start(arguments: &Arguments) -> Result<Broker, Failure> {
    let broker = Broker::new(BrokerConfig {
        default_partitions: arguments.partitions,
        auto_create_topics: !arguments.no_auto_create,
        max_message_bytes: arguments.max_message_bytes,
        retention_bytes: arguments.retention_bytes,
        retention: arguments.retention_ms.map(Duration::from_millis),
        max_stored_bytes: arguments.max_stored_bytes,
        initial_rebalance_delay: Duration::from_millis(arguments.rebalance_delay_ms),
        ..BrokerConfig::default()
    });
    for topic in &arguments.topics {
        let partitions = topic.partitions.unwrap_or(arguments.partitions);
        broker
            .create_topic(&topic.name, partitions)
            .map_err(|error| Failure::usage(format!("--topic: {error}")))?;
    }
    let opened = broker
        .listen_on("clients", arguments.listen, arguments.advertise.clone())
        .await;
    let listener = opened.map_err(|error| match error {
        BrokerError::Bind { .. } => Failure::environment(format!(
            "{error}; another program may have the port: choose another with --listen, or port 0 for any free one"
        )),
        other => Failure::environment(other.to_string()),
    })?;
    if !listener.address().ip().is_loopback() {
        tracing::warn!(address = %listener.address(), "anybody who reaches this address can read and write everything: there is no TLS and no authentication");
    }
    let told = writeln!(
        std::io::stdout(),
        "kafka-broker listens on {}",
        listener.address()
    );
    told.map_err(|error| {
        Failure::environment(format!("cannot write to standard output: {error}"))
    })?;
    Ok(broker)
}
