//! The gateway as customers and instances see it: over TLS, with stand-ins for the services and the issuer of
//! tokens.

mod certificate;
mod firewall;
mod gateway;
mod instance;
mod issuer;
mod pages;
mod readiness;
mod routes;
mod serving;
mod tokens;
