//! What customers do: seeded intents, paced, carried out by a client that knows three outcomes.
//!
//! - [`generator`]: which customer wants what; pure, one seeded stream
//! - [`pace`]: when the next one comes
//! - [`habits`]: what they are like
//! - [`outcome`]: what an answer means, decided in one table, and how it shows an order
//! - `names`: how they find out where the shop is
//! - [`client`]: one attempt over HTTPS
//! - [`example`]: the same attempt as a command to type
//! - [`identity`]: who customers are, and their tokens
//! - [`customers`]: the running load
//! - [`browser`]: a customer who shops in the page, in a real browser

pub mod browser;
pub mod client;
pub mod customers;
pub mod example;
pub mod generator;
pub mod habits;
pub mod identity;
mod names;
pub mod outcome;
pub mod pace;

pub use client::{Client, ClientError, Outside};
pub use customers::{Customers, CustomersReport};
pub use generator::{Assortment, Generator, Intent};
pub use habits::{Following, Habits};
pub use identity::Identity;
pub use pace::Pace;
