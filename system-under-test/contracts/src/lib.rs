//! The messages that the pipeline's services exchange, with their versions.
//!
//! * [`topic`]: names of the topics, and which service reads them in which group.
//! * [`message`]: the envelope every message has, how it is read (strict about the version, tolerant of unknown fields)
//!   and written, and how ids are derived.
//! * [`payment`]: what the order service asks of the payment service, and its answers.
//! * [`order`]: what happened to an order.
//! * [`inventory`]: what the inventory service did for a paid order.

pub mod inventory;
pub mod message;
pub mod order;
pub mod payment;
pub mod topic;

pub use inventory::{InventoryEvent, InventoryEventKind};
pub use message::{
    Envelope, Kind, MessageError, VERSION, deterministic_id, read, read_whatever_version,
    unknown_fields, write,
};
pub use order::{Line, OrderEvent, OrderEventBody, OrderEventKind};
pub use payment::{PaymentCommand, PaymentCommandKind, PaymentResult, PaymentResultKind};
