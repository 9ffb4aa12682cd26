//! The answers to payment commands.

use contracts::message::{Envelope, Kind as _, write};
use contracts::payment::{PaymentResult, PaymentResultKind};
use serde_json::Value;
use service_kit::kafka::{Failure, Outgoing, Producer};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{Kind, Settled};

/// The message that answers a command; `Err` with the reason when there is none for such an end (a refund that the
/// provider refuses for good).
///
/// # Errors
/// [`Failure::Unprocessable`].
pub(super) fn answer(order_id: Uuid, kind: Kind, settled: &Settled) -> Result<Value, Failure> {
    let body = match (kind, settled.clone()) {
        (Kind::Charge, Settled::Succeeded { provider_id }) => PaymentResultKind::Charged {
            charge_id: provider_id,
        },
        (Kind::Charge, Settled::Declined { reason }) => PaymentResultKind::Declined { reason },
        (Kind::Refund, Settled::Succeeded { provider_id }) => PaymentResultKind::Refunded {
            refund_id: provider_id,
        },
        (Kind::Refund, Settled::Declined { reason }) => {
            return Err(Failure::Unprocessable(format!(
                "the refund was refused: {reason}"
            )));
        }
    };
    let message: PaymentResult =
        Envelope::once_per_order(order_id, OffsetDateTime::now_utc(), body);
    write(&message).map_err(|error| Failure::Unprocessable(error.to_string()))
}

/// Publishes an answer and waits until it is stored.
///
/// # Errors
/// [`Failure::Unavailable`] when it was not acknowledged.
pub(super) async fn publish(
    producer: &Producer,
    order_id: Uuid,
    answer: &Value,
) -> Result<(), Failure> {
    let payload = answer.to_string();
    let record = Outgoing {
        topic: PaymentResultKind::TOPIC,
        key: &order_id.to_string(),
        payload: payload.as_bytes(),
        trace: None,
        headers: &[],
    };
    let placed = producer.send(record).await;
    placed
        .map(drop)
        .map_err(|error| Failure::Unavailable(error.to_string()))
}
