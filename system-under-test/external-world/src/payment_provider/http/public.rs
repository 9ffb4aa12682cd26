//! The public API: charges, refunds, and the look-up of both by idempotency key.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::answer::{self, Problem};
use crate::payment_provider::AFTER_BOOKING;
use crate::payment_provider::Provider;
use crate::payment_provider::domain::{ChargeRequest, Invalid, Kind, RefundRequest, check_key};
use crate::payment_provider::ledger::{Booking, BookingError, Charge, Refund};
use crate::payment_provider::script::{Act, Conduct};

/// Largest body of a request, in bytes.
const BODY_LIMIT: usize = 16 * 1024;

/// Router of the public API.
pub fn router(provider: Provider) -> Router {
    Router::new()
        .route("/charges", post(create_charge).get(find_charge))
        .route("/refunds", post(create_refund).get(find_refund))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(provider)
}

async fn create_charge(
    State(provider): State<Provider>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let key = key_of(&headers)?;
    let request = ChargeRequest::parse(&body)?;
    provider
        .ledger
        .count_charge_request(&request.reference, key.as_deref())
        .await?;
    serve(provider, Wish::Charge(request), key).await
}

async fn create_refund(
    State(provider): State<Provider>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let key = key_of(&headers)?;
    let request = RefundRequest::parse(&body)?;
    provider
        .ledger
        .count_refund_request(request.charge_id, key.as_deref())
        .await?;
    serve(provider, Wish::Refund(request), key).await
}

enum Wish {
    Charge(ChargeRequest),
    Refund(RefundRequest),
}

impl Wish {
    fn kind(&self) -> Kind {
        match self {
            Wish::Charge(_) => Kind::Charge,
            Wish::Refund(_) => Kind::Refund,
        }
    }
}

/// Serves a request that was counted. What was begun is carried through even when the client hangs up: it is booked,
/// whoever still listens. Only a hanging request ends with its connection.
async fn serve(provider: Provider, wish: Wish, key: Option<String>) -> Result<Response, Problem> {
    provider.metrics.asked(wish.kind());
    if let Some(seconds) = provider.over_limit() {
        return Err(Problem::rate_limited(seconds));
    }
    let conduct = provider.scripts.conduct(wish.kind());
    if let Act::Hang(held) = conduct.act {
        tokio::time::sleep(conduct.delay + held).await;
        return Err(Problem::scripted(504));
    }
    let work = provider.work.clone();
    let task = work.spawn(async move { act(&provider, conduct, &wish, key.as_deref()).await });
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request broke down");
        Err(Problem::scripted(500))
    })
}

async fn act(
    provider: &Provider,
    conduct: Conduct,
    wish: &Wish,
    key: Option<&str>,
) -> Result<Response, Problem> {
    tokio::time::sleep(conduct.delay).await;
    match conduct.act {
        Act::FailBeforeBooking(status) => Err(Problem::scripted(status)),
        Act::RateLimited(seconds) => Err(Problem::rate_limited(seconds)),
        Act::ErrorBody => Ok(answer::error_in_disguise()),
        Act::Decline => decline(provider, wish, key).await,
        Act::Hang(_) => Err(Problem::scripted(504)),
        Act::FailAfterBooking(status) => {
            book(provider, wish, key).await?;
            Err(Problem::scripted(status))
        }
        Act::Honest => {
            let booked = book(provider, wish, key).await?;
            service_kit::fail_point::pass(AFTER_BOOKING)
                .await
                .map_err(Problem::injected)?;
            Ok(show(&booked))
        }
    }
}

enum Booked {
    Charge(Booking<Charge>),
    Refund(Booking<Refund>),
}

async fn book(provider: &Provider, wish: &Wish, key: Option<&str>) -> Result<Booked, BookingError> {
    let booked = match wish {
        Wish::Charge(request) => Booked::Charge(provider.ledger.charge(request, key).await?),
        Wish::Refund(request) => Booked::Refund(provider.ledger.refund(request, key).await?),
    };
    match &booked {
        Booked::Charge(Booking::Booked(_)) => provider.metrics.booked(Kind::Charge),
        Booked::Refund(Booking::Booked(_)) => provider.metrics.booked(Kind::Refund),
        _ => {}
    }
    Ok(booked)
}

async fn decline(provider: &Provider, wish: &Wish, key: Option<&str>) -> Result<Response, Problem> {
    let Wish::Charge(request) = wish else {
        return Ok(answer::declined());
    };
    Ok(match provider.ledger.decline(request, key).await? {
        Some(earlier) => answer::charge(StatusCode::OK, &earlier),
        None => answer::declined(),
    })
}

fn show(booked: &Booked) -> Response {
    match booked {
        Booked::Charge(Booking::Booked(charge)) => answer::charge(StatusCode::CREATED, charge),
        Booked::Charge(Booking::Repeated(charge)) => answer::charge(StatusCode::OK, charge),
        Booked::Refund(Booking::Booked(refund)) => answer::refund(StatusCode::CREATED, refund),
        Booked::Refund(Booking::Repeated(refund)) => answer::refund(StatusCode::OK, refund),
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

fn key_of(headers: &HeaderMap) -> Result<Option<String>, Invalid> {
    headers
        .get("idempotency-key")
        .map(|value| check_key(value.as_bytes()))
        .transpose()
}
