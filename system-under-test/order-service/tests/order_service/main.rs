//! The order service against a real PostgreSQL and an embedded broker, in one program, so that the server is started once.

mod answers;
mod placing;
mod relay;
mod service;
mod support;
