//! What the provider answers over HTTP: to its clients, and to the drill.

pub mod control;
pub mod public;
