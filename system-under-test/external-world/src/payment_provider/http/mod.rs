//! What the provider answers over HTTP: to merchants, and to the drill.

mod answer;
pub mod control;
pub mod public;
mod version;
