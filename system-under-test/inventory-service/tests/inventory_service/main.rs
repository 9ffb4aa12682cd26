//! The inventory service against a real PostgreSQL and an embedded broker, in one program, so that the server is started
//! once.

mod service;
mod shown;
mod stock;
mod support;
