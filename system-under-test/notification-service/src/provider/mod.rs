//! The message provider, and what stands between us and it.
//!
//! * [`answer`]: what an answer means. Pure.
//! * [`client`]: one call over HTTPS.
//! * [`gate`]: what every call must pass first.

pub mod answer;
pub mod client;
pub mod gate;

pub use answer::Sent;
pub use client::{Client, Outgoing};
pub use gate::Gate;
