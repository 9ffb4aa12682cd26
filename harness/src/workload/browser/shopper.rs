//! A shopper: does something in the page, and every order that the browser sends meanwhile goes to a journal.

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use firedrill_oracle::record::{Operation, Outcome, Record};
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    page::{Page, ShopError},
    traffic::{Attempt, End, Traffic},
};
use crate::{
    testbed::Browser,
    workload::{
        customers::{CustomersReport, JournalSink, micros},
        outcome::{self, Seen},
    },
};

/// Size of a shopper's window.
const WINDOW: (u32, u32) = (1280, 900);

/// A shopper with the shop open.
pub struct Shopper {
    /// The page.
    pub page: Page,
    traffic: Traffic,
    attempts: HashMap<String, u32>,
    report: CustomersReport,
    sink: JournalSink,
    /// The drill's beginning, in seconds since 1970.
    began_wall_s: f64,
}

impl Shopper {
    /// Opens the shop and signs in. `clock` is the moment the drill began.
    ///
    /// # Errors
    /// The browser cannot be driven, or the page does not get ready.
    pub async fn open(
        browser: &Browser,
        url: &str,
        customer: &str,
        clock: Instant,
        sink: JournalSink,
    ) -> Result<Self, ShopError> {
        let page = Page::open(browser, url, WINDOW.0, WINDOW.1).await?;
        page.sign_in(customer).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let since_began = Duration::from_micros(micros(clock));
        Ok(Self {
            page,
            traffic: Traffic::default(),
            attempts: HashMap::new(),
            report: CustomersReport::default(),
            sink,
            began_wall_s: (now.unwrap_or_default().saturating_sub(since_began)).as_secs_f64(),
        })
    }

    /// Puts units of a product into the basket, pays, and waits until the page says what came of it.
    ///
    /// # Errors
    /// The page does not do it.
    pub async fn buy(&mut self, product_id: &str, units: i64) -> Result<(), ShopError> {
        self.page.put_into_basket(product_id, units).await?;
        self.page.pay().await?;
        self.note_attempts().await
    }

    /// Presses the button again if there is still something to pay, as somebody would who has heard nothing.
    ///
    /// # Errors
    /// The page does not do it.
    pub async fn pay_again(&mut self) -> Result<(), ShopError> {
        if self.page.can_pay().await? {
            self.page.pay().await?;
        }
        self.note_attempts().await
    }

    /// What the shopper has done so far.
    pub fn report(&self) -> CustomersReport {
        self.report
    }

    /// Goes home: a last picture, and what nobody answered stays in doubt.
    ///
    /// # Errors
    /// The browser fails.
    pub async fn leave(&mut self, picture: &Path) -> Result<(), ShopError> {
        self.note_attempts().await?;
        for attempt in self.traffic.abandon() {
            self.note(attempt).await;
        }
        self.page.picture(picture).await
    }

    async fn note_attempts(&mut self) -> Result<(), ShopError> {
        for event in self.page.window.network_events().await? {
            if let Some(attempt) = self.traffic.take(&event) {
                self.note(attempt).await;
            }
        }
        Ok(())
    }

    async fn note(&mut self, attempt: Attempt) {
        let seen = match attempt.end {
            End::Answered { status } => self.answer(&attempt.request, status).await,
            End::Failed(seen) => seen,
            End::Open => Seen::NoAnswer {
                reason: "nothing was heard".to_owned(),
            },
        };
        let outcome = outcome::decide(seen);
        self.report.attempted += 1;
        match &outcome {
            Outcome::Done { .. } => self.report.accepted += 1,
            Outcome::Refused { .. } => self.report.refused += 1,
            Outcome::Unknown { .. } => self.report.unknown += 1,
        }
        let count = self
            .attempts
            .entry(attempt.order.reference.clone())
            .or_default();
        *count += 1;
        let started_us = whole_micros(attempt.began_wall_s - self.began_wall_s);
        (self.sink)(Record::Operation(Operation {
            reference: attempt.order.reference,
            attempt: *count,
            customer: attempt.order.customer,
            idempotency_key: attempt.key,
            started_us,
            ended_us: started_us + whole_micros(attempt.ended_s - attempt.began_s),
            lines: attempt.order.lines,
            amount_minor: attempt.order.amount_minor,
            forged: None,
            outcome,
        }));
    }

    /// An answer with its body, which the browser keeps. Without it an accepted order cannot be named.
    async fn answer(&self, request: &str, status: u16) -> Seen {
        let body = self.page.answer_body(request).await.unwrap_or_default();
        let body: AnswerBody = serde_json::from_slice(&body).unwrap_or_default();
        Seen::Answer {
            status,
            order_id: body.order_id,
            code: body.error.and_then(|error| error.code),
        }
    }
}

#[derive(Default, Deserialize)]
struct AnswerBody {
    order_id: Option<String>,
    error: Option<ErrorBody>,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: Option<String>,
}

/// Microseconds; nothing before the drill began.
fn whole_micros(seconds: f64) -> u64 {
    u64::try_from(
        Duration::try_from_secs_f64(seconds)
            .unwrap_or_default()
            .as_micros(),
    )
    .unwrap_or(u64::MAX)
}
