//! Reports: they listen to drill events and read recorded judgements, nothing else.
//!
//! - [`console`]: for the person in front of the screen
//! - [`verdicts`]: `verdicts.json`, for machines
//! - [`junit`]: `junit.xml`, for CI services
//! - [`html`]: `report.html`, for everybody who was not there
//! - [`matrix`]: which defence protects from which failure

pub mod console;
pub mod html;
pub mod junit;
pub mod matrix;
pub mod verdicts;
