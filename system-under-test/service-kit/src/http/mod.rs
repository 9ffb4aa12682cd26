//! HTTP the same way in every service.
//!
//! * [`certificate`]: what a TLS listener shows, read again when its files change.
//! * [`connections`]: to systems that are not ours, and whom they trust, read again when that changes.
//! * [`cross_origin`]: which web pages may call an API.
//! * [`error`]: one mapping from what went wrong to status and JSON body.
//! * [`json`]: bodies read strictly, with the offending field named.
//! * [`deadline`]: the time a caller still has, from `X-Deadline-Ms`.
//! * [`operations`]: health, metrics and fail-point control.
//! * [`partner`]: what the answers of systems that are not ours have in common.
//! * [`serve`]: listeners (plain and TLS) with observation of every request and a bounded graceful shutdown.

pub mod certificate;
pub mod connections;
pub mod cross_origin;
pub mod deadline;
pub mod error;
pub mod json;
pub mod operations;
pub mod partner;
pub mod serve;

pub use connections::{CallLimits, Connections};
pub use cross_origin::CrossOrigin;
pub use deadline::Deadline;
pub use error::ApiError;
pub use json::StrictJson;
pub use serve::{HttpLimits, TlsFiles};
