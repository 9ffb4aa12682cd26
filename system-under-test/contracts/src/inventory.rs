//! What the inventory service did for a paid order.

use serde::{Deserialize, Serialize};

use crate::message::{Envelope, Kind};
use crate::topic;

/// A message of `inventory-events`.
pub type InventoryEvent = Envelope<InventoryEventKind>;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InventoryEventKind {
    /// All lines of the order were taken from stock.
    Taken,
    /// Nothing was taken, because there was too little of one product.
    OutOfStock {
        /// The first product of which there was too little.
        product_id: String,
    },
}

impl Kind for InventoryEventKind {
    const TOPIC: &'static str = topic::INVENTORY_EVENTS;

    fn kind(&self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::OutOfStock { .. } => "out_of_stock",
        }
    }
}
