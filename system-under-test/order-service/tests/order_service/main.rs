//! The order service against a real PostgreSQL and an embedded broker, in one program, so that the server is started once.

mod answers;
mod cancelling;
mod conflicts;
mod intake;
mod limits;
mod looking;
mod placing;
mod relay;
mod schema;
mod service;
mod support;
