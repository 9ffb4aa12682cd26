//! The public API: charges, refunds, and the look-up of both by idempotency key.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::answer;
use super::version::{self, Version};
use crate::desk::Wish;
use crate::idempotency_key::key_of;
use crate::payment_provider::AFTER_BOOKING;
use crate::payment_provider::Provider;
use crate::payment_provider::domain::{ChargeRequest, Kind, RefundRequest};
use crate::payment_provider::ledger::Booking;
use crate::problem::Problem;

/// Largest body of a request, in bytes.
const BODY_LIMIT: usize = 16 * 1024;

/// Router of the public API.
pub fn router(provider: Provider) -> Router {
    Router::new()
        .route("/charges", post(create_charge).get(find_charge))
        .route("/refunds", post(create_refund).get(find_refund))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(map_response(version::name))
        .with_state(provider)
}

async fn create_charge(
    State(provider): State<Provider>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let key = key_of(&headers)?;
    let version = Version::asked(&headers)?;
    let request = ChargeRequest::parse(&body)?;
    provider
        .ledger
        .count_charge_request(&request.reference, key.as_deref())
        .await?;
    serve(provider, Wanted::Charge(request), key, version).await
}

async fn create_refund(
    State(provider): State<Provider>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let key = key_of(&headers)?;
    let version = Version::asked(&headers)?;
    let request = RefundRequest::parse(&body)?;
    provider
        .ledger
        .count_refund_request(request.charge_id, key.as_deref())
        .await?;
    serve(provider, Wanted::Refund(request), key, version).await
}

/// Serves a request that was counted.
async fn serve(
    provider: Provider,
    wanted: Wanted,
    key: Option<String>,
    version: Version,
) -> Result<Response, Problem> {
    let desk = provider.desk.clone();
    let payment = Payment {
        provider,
        wanted,
        key,
        version,
    };
    payment.provider.metrics.asked(payment.kind());
    desk.serve(payment).await
}

enum Wanted {
    Charge(ChargeRequest),
    Refund(RefundRequest),
}

/// A charge or a refund that is wanted, with the key it came with.
struct Payment {
    provider: Provider,
    wanted: Wanted,
    key: Option<String>,
    version: Version,
}

impl Wish for Payment {
    type Kind = Kind;

    const AFTER_BOOKING: &'static str = AFTER_BOOKING;

    fn kind(&self) -> Kind {
        match self.wanted {
            Wanted::Charge(_) => Kind::Charge,
            Wanted::Refund(_) => Kind::Refund,
        }
    }

    async fn book(&self) -> Result<Response, Problem> {
        let (ledger, key) = (&self.provider.ledger, self.key.as_deref());
        let metrics = &self.provider.metrics;
        Ok(match &self.wanted {
            Wanted::Charge(request) => match ledger.charge(request, key).await? {
                Booking::Booked(charge) => {
                    metrics.booked(Kind::Charge);
                    answer::charge(StatusCode::CREATED, &charge)
                }
                Booking::Repeated(charge) => answer::charge(StatusCode::OK, &charge),
            },
            Wanted::Refund(request) => match ledger.refund(request, key).await? {
                Booking::Booked(refund) => {
                    metrics.booked(Kind::Refund);
                    answer::refund(StatusCode::CREATED, &refund)
                }
                Booking::Repeated(refund) => answer::refund(StatusCode::OK, &refund),
            },
        })
    }

    fn after_retirement(&self) -> Problem {
        self.version.after_retirement()
    }

    async fn decline(&self) -> Result<Response, Problem> {
        let Wanted::Charge(request) = &self.wanted else {
            return Ok(answer::declined());
        };
        let declined = self
            .provider
            .ledger
            .decline(request, self.key.as_deref())
            .await?;
        Ok(match declined {
            Some(earlier) => answer::charge(StatusCode::OK, &earlier),
            None => answer::declined(),
        })
    }

    fn error_in_disguise(&self) -> Response {
        answer::error_in_disguise()
    }
}

#[derive(Deserialize)]
struct ByKey {
    idempotency_key: String,
}

async fn find_charge(
    State(provider): State<Provider>,
    Query(wanted): Query<ByKey>,
) -> Result<Response, Problem> {
    let found = provider
        .ledger
        .charge_by_key(&wanted.idempotency_key)
        .await?;
    let charges: Vec<_> = found.into_iter().collect();
    Ok(Json(json!({ "charges": charges })).into_response())
}

async fn find_refund(
    State(provider): State<Provider>,
    Query(wanted): Query<ByKey>,
) -> Result<Response, Problem> {
    let found = provider
        .ledger
        .refund_by_key(&wanted.idempotency_key)
        .await?;
    let refunds: Vec<_> = found.into_iter().collect();
    Ok(Json(json!({ "refunds": refunds })).into_response())
}
