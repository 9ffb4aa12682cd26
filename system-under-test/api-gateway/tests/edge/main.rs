//! The gateway as customers and instances see it: over TLS, with stand-ins for the services.

mod gateway;
mod instance;
mod pages;
mod routes;
mod serving;
