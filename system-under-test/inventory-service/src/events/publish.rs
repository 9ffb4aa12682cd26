//! Answers to paid orders.

use contracts::topic;
use service_kit::kafka::{Failure, Outgoing, Producer};
use uuid::Uuid;

/// Publishes an answer as it was recorded, and waits for the acknowledgement.
///
/// # Errors
/// [`Failure::Unavailable`]: the message that is answered is not done yet.
pub async fn answer(
    producer: &Producer,
    order_id: Uuid,
    answer: &serde_json::Value,
) -> Result<(), Failure> {
    let (key, payload) = (order_id.to_string(), answer.to_string());
    let record = Outgoing {
        topic: topic::INVENTORY_EVENTS,
        key: &key,
        payload: payload.as_bytes(),
        trace: None,
        headers: &[],
    };
    producer
        .send(record)
        .await
        .map(drop)
        .map_err(|error| Failure::Unavailable(error.to_string()))
}
