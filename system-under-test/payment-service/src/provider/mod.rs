//! The payment provider, and everything that stands between us and it.
//!
//! * [`client`]: one call over HTTPS, and what it showed
//! * [`gate`]: what every call must pass first
//! * [`drain`]: the even rate at which a backlog is let out
//! * [`slow_start`]: the growing rate in it
//! * [`breaker`]: the circuit breaker in it
//! * [`backoff`]: how long to wait after a failure

mod answer;
pub mod backoff;
pub mod breaker;
pub mod client;
pub mod drain;
pub mod gate;
pub mod slow_start;
