//! What the provider answers over HTTP: to customers and services, and to the drill.

pub mod control;
pub mod public;
