//! What every service of the pipeline shares, so that learning one service teaches all of them.
//!
//! * [`settings`]: typed settings from environment variables, all problems at once.
//! * [`defences`]: protections that can be switched off by name.
//! * [`trace`]: one id that follows an order through HTTP, database and Kafka.
//! * [`log`]: JSON lines with instance, order and trace.
//! * [`metrics`]: Prometheus metrics.
//! * [`health`]: whether the process is ready, and if not, why.
//! * [`fail_point`]: marked moments between two effects.
//! * [`files`]: files that change while the process runs.
//! * [`shutdown`]: one way down.
//! * [`http`]: errors, strict bodies, deadlines, operations, listeners.
//! * [`database`]: PostgreSQL with explicit limits, passwords that change, migrations, retries of lost transactions.
//! * [`kafka`]: producer and consumer loop.
//! * [`names`]: where others are, by DNS.
//! * [`token`]: signed tokens, ES256 only.
//! * [`service`]: the life of the process; `main` calls [`service::run`].
//! * [`jitter`]: a little disorder for pauses.
//!
//! What is not here: anything that knows what an order is.

pub mod database;
pub mod defences;
pub mod fail_point;
pub mod files;
pub mod health;
pub mod http;
pub mod jitter;
pub mod kafka;
pub mod log;
pub mod metrics;
pub mod names;
pub mod service;
pub mod settings;
pub mod shutdown;
pub mod token;
pub mod trace;
