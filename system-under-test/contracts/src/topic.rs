//! Names of the topics and of the consumer groups, without the prefix that a deployment puts before both.

/// Commands from the order service to the payment service.
pub const PAYMENT_COMMANDS: &str = "payment-commands";
/// Answers of the payment service.
pub const PAYMENT_RESULTS: &str = "payment-results";
/// What happened to orders, for everybody downstream.
pub const ORDER_EVENTS: &str = "order-events";
/// What the inventory service did for paid orders.
pub const INVENTORY_EVENTS: &str = "inventory-events";

/// All topics, without their dead-letter topics.
pub const ALL: [&str; 4] = [
    PAYMENT_COMMANDS,
    PAYMENT_RESULTS,
    ORDER_EVENTS,
    INVENTORY_EVENTS,
];

/// The topic in which messages of `topic` are parked that could not be processed.
pub fn dead(topic: &str) -> String {
    format!("{topic}.dead")
}
