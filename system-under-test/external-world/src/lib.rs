//! What the company does not own. The first argument of the program chooses one of its roles.
//!
//! * [`payment_provider`]: takes money and gives it back.
//! * [`message_provider`]: delivers e-mails and SMS.
//! * [`identity_provider`]: gives customers signed tokens.
//!
//! What the roles share:
//!
//! * [`Addresses`]: where they are served.
//! * [`script`]: misbehaviour on demand.
//! * [`control`]: setting scripts over HTTP.
//! * [`idempotency_key`]: the key of a request, checked.
//! * [`problem`]: refusals and failures, and how they are answered.
//! * [`desk`]: where requests come in: rate limit, scripts, bookings that outlive their connections.

pub mod control;
pub mod desk;
pub mod idempotency_key;
pub mod identity_provider;
pub mod message_provider;
pub mod payment_provider;
pub mod problem;
pub mod script;

mod addresses;

pub use addresses::Addresses;
