//! A customer who shops in the page, in a real browser.
//!
//! - [`page`]: what a shopper does in the page and waits for
//! - [`traffic`]: which orders the browser has sent, and what it heard: told by the browser, not by the page
//! - [`shopper`]: both together: every attempt goes to a journal

pub mod page;
pub mod shopper;
pub mod traffic;

pub use page::ShopError;
pub use shopper::Shopper;
