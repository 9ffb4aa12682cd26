//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Describes failures in Gherkin, has them happen to a real pipeline, and says which promises held.
///
/// Exit codes: 0 all passed, 1 a finding (violated, not recovered, fault not felt), 2 harness error or undetermined,
/// 64 something written or typed is wrong, 69 the machine lacks something.
#[derive(Debug, Parser)]
#[command(name = "firedrill", version, disable_help_subcommand = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Where the system is described.
    #[command(flatten)]
    pub system: SystemFiles,
}

/// Where the system is described; found from the current folder upwards unless named.
#[derive(Debug, Clone, Args)]
pub struct SystemFiles {
    /// The topology file.
    #[arg(long, global = true, value_name = "FILE", help_heading = "System")]
    pub topology: Option<PathBuf>,
    /// The observations file.
    #[arg(long, global = true, value_name = "FILE", help_heading = "System")]
    pub observations: Option<PathBuf>,
    /// The folder of fault profiles.
    #[arg(long, global = true, value_name = "FOLDER", help_heading = "System")]
    pub profiles: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Drills scenarios; without paths, features/quickstart.feature.
    Run(RunArguments),
    /// Proves scenarios: each must pass as written, and fail without each of its defences.
    Prove(ProveArguments),
    /// Starts the healthy pipeline, prints every address and leaves it running until Ctrl-C: for writing features.
    Up(UpArguments),
    /// Does a recorded drill again: same seed, same scenario, same topology.
    Replay(ReplayArguments),
    /// Judges a recorded run or drill again; nothing is started.
    Check {
        /// Folder of a run or of one drill.
        folder: PathBuf,
    },
    /// Builds report.html of a run again, or one page for the runs of several shards; nothing is started.
    Report(ReportArguments),
    /// Lists what can be named in features and on the command line.
    List {
        /// What to list.
        what: Listing,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Reads features, profiles, topology and observations; starts nothing.
    Lint {
        /// Feature files or folders; all features without one.
        paths: Vec<String>,
    },
    /// Removes what dead runs left behind; never touches a live run.
    Clean {
        /// Removes recorded runs and caches as well.
        #[arg(long)]
        all: bool,
    },
}

/// How drills are selected and where they run.
#[derive(Debug, Clone, Args)]
pub struct Selection {
    /// Feature files, folders, or FILE:LINE.
    pub paths: Vec<String>,
    /// Only scenarios whose tags fit, as in `@F6.5 and not @slow`.
    #[arg(long, value_name = "EXPRESSION")]
    pub tags: Option<String>,
    /// Where the system runs.
    #[arg(long, value_enum, default_value = "local")]
    pub testbed: TestbedName,
    /// Seed of everything that is drawn; printed with every run.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Drills at the same time; follows from the machine's cores unless given.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
    /// Folder for the run instead of target/firedrill/<time>-<seed>.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Does everything so many times.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub times: u16,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            tags: None,
            testbed: TestbedName::Local,
            seed: None,
            jobs: None,
            out: None,
            times: 1,
        }
    }
}

/// `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArguments {
    /// Which drills.
    #[command(flatten)]
    pub selection: Selection,
    /// Switches a defence off; may be given several times.
    #[arg(long, value_name = "DEFENCE")]
    pub without: Vec<String>,
}

/// `prove`.
#[derive(Debug, Clone, Args)]
pub struct ProveArguments {
    /// Which drills; all features without a path.
    #[command(flatten)]
    pub selection: Selection,
}

/// `up`.
#[derive(Debug, Clone, Args)]
pub struct UpArguments {
    /// Switches a defence off; may be given several times.
    #[arg(long, value_name = "DEFENCE")]
    pub without: Vec<String>,
    /// Seed of everything that is drawn.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Another value for a setting of a component; may be given several times.
    #[arg(long, value_name = "COMPONENT.SETTING=VALUE")]
    pub set: Vec<String>,
    /// Another number of instances of a component; may be given several times.
    #[arg(long, value_name = "COMPONENT=NUMBER")]
    pub replicas: Vec<String>,
    /// How many products are for sale.
    #[arg(long, default_value_t = 40)]
    pub products: u16,
    /// How many units of each are in stock.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(i64).range(1..))]
    pub units: i64,
}

/// `replay`.
#[derive(Debug, Clone, Args)]
pub struct ReplayArguments {
    /// Folder of one drill, as a finding names it.
    pub folder: PathBuf,
    /// Does it so many times.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub times: u16,
}

/// `report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArguments {
    /// Folders of runs.
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// The page; report.html in the run's own folder unless given.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Where the system runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TestbedName {
    /// Child processes on loopback.
    Local,
}

/// What `list` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Listing {
    /// Kinds of fault and how each is felt.
    Faults,
    /// Fault profiles.
    Profiles,
    /// The vocabulary of scenarios.
    Steps,
    /// Protections that can be switched off.
    Defences,
    /// Promises that are always checked.
    Invariants,
    /// Parts of the system.
    Components,
    /// The catalogue of failures, and which scenarios show each.
    Failures,
}
