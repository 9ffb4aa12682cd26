//! What a customer does about an order that was accepted: looks what becomes of it, changes his mind.
//!
//! Whatever is answered about an order is a look at it and goes to the journal, and the next question says which version was
//! seen last.

use std::time::Duration;

use firedrill_oracle::{
    lifecycle,
    record::{Look, Record},
};

use super::{Attempted, Shop, micros};
use crate::workload::{habits::Following, outcome::ShownOrder};

/// HTTP status of an answer to somebody whose token is not accepted.
const UNAUTHORIZED: u16 = 401;

/// Does what the customer's habits say, until that is done or nobody waits any longer. `accepted` is the attempt that was
/// answered with the order.
pub(super) async fn accompany(shop: &Shop, customer: &str, order_id: &str, accepted: &Attempted) {
    let mut watch = Watch {
        shop,
        customer,
        order_id,
        seen: None,
        is_over: false,
    };
    tokio::select! {
        () = watch.keep(accepted) => {}
        () = shop.abandon.cancelled() => {}
    }
}

/// A customer and an order.
struct Watch<'s> {
    shop: &'s Shop,
    customer: &'s str,
    order_id: &'s str,
    /// The latest version that the customer was shown.
    seen: Option<i64>,
    /// Whether nothing more is to be expected of the order.
    is_over: bool,
}

impl Watch<'_> {
    async fn keep(&mut self, accepted: &Attempted) {
        let habits = self.shop.habits;
        if habits.follows.is_some() {
            if let Some(shown) = &accepted.shown {
                self.note(accepted.started_us, accepted.ended_us, shown.clone());
            }
            if habits.cancels {
                // Who follows an order looks at it before he gives it up.
                self.look().await;
            }
        }
        if habits.cancels {
            self.give_up().await;
        }
        if let Some(following) = habits.follows {
            self.follow(following).await;
        }
    }

    async fn follow(&mut self, following: Following) {
        let interval = Duration::from_millis(following.interval_ms);
        for _ in 0..following.most_looks {
            if self.is_over {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = self.shop.stop.cancelled() => return,
            }
            self.look().await;
        }
    }

    /// Looks once; who is not let in, or gets no answer, has seen nothing.
    async fn look(&mut self) {
        let Ok(pass) = self.shop.pass(self.customer).await else {
            return;
        };
        let asked_us = micros(self.shop.clock);
        let client = &self.shop.client;
        let token = pass.token.as_deref();
        let answer = client.look_at_order(self.order_id, self.seen, self.customer, token);
        let Some(answer) = answer.await else { return };
        if answer.status == UNAUTHORIZED {
            self.shop.forget(self.customer, &pass);
        }
        if let Some(shown) = answer.shown {
            self.note(asked_us, micros(self.shop.clock), shown);
        }
    }

    async fn give_up(&mut self) {
        let Ok(pass) = self.shop.pass(self.customer).await else {
            return;
        };
        let asked_us = micros(self.shop.clock);
        let client = &self.shop.client;
        let token = pass.token.as_deref();
        let answer = client.cancel_order(self.order_id, self.customer, token);
        if let Some(shown) = answer.await.and_then(|answer| answer.shown) {
            self.note(asked_us, micros(self.shop.clock), shown);
        }
    }

    fn note(&mut self, asked_us: u64, answered_us: u64, shown: ShownOrder) {
        self.seen = self.seen.max(shown.version);
        self.is_over = lifecycle::is_final(&shown.state);
        (self.shop.sink)(Record::Look(Look {
            order_id: self.order_id.to_owned(),
            customer: self.customer.to_owned(),
            asked_us,
            answered_us,
            state: shown.state,
            version: shown.version,
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        time::Instant,
    };

    use super::*;
    use crate::workload::{
        Assortment, Client, Customers, Generator, Habits, Outside,
        customers::{CustomersReport, JournalSink},
    };

    /// Longer than any test waits.
    const LIMIT: Duration = Duration::from_secs(20);

    /// A shop in the clear that accepts one order and then answers with these bodies, the last one again and again. What it
    /// was asked, each request by its first line.
    async fn shop(bodies: &'static [&'static str]) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = asked.clone();
        tokio::spawn(async move {
            for turn in 0.. {
                let (mut connection, _) = listener.accept().await.expect("a connection");
                let mut request = [0; 4096];
                let length = connection.read(&mut request).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..length]);
                let line = text.lines().next().unwrap_or_default().to_owned();
                told.lock().expect("not poisoned").push(line);
                let body = bodies[turn.min(bodies.len() - 1)];
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        });
        (url, asked)
    }

    /// Lets one customer come, once; the looks that go to the journal.
    fn visit(url: &str, habits: Habits) -> (Customers, Arc<Mutex<Vec<Look>>>) {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        let outside = Outside {
            certificate_authority_pem: own.cert.pem(),
            patience: LIMIT,
            name_server: None,
            verifies: true,
        };
        let client = Client::new(url, &outside).expect("a client");
        let intents = vec![Generator::new(7, Assortment::new(3, 5, 7), "r").next_intent(true, 1)];
        let looks = Arc::new(Mutex::new(Vec::new()));
        let seen = looks.clone();
        let sink: JournalSink = Arc::new(move |record| {
            if let Record::Look(look) = record {
                seen.lock().expect("not poisoned").push(look);
            }
        });
        let clock = Instant::now();
        let customers = Customers::start_at_once(client, None, intents, habits, clock, sink);
        (customers, looks)
    }

    fn following(most_looks: u32) -> Habits {
        Habits {
            follows: Some(Following {
                interval_ms: 1,
                most_looks,
            }),
            ..Habits::default()
        }
    }

    /// What was shown, by state and version.
    fn shown(looks: &Mutex<Vec<Look>>) -> Vec<(String, Option<i64>)> {
        let looks = looks.lock().expect("not poisoned");
        assert!(looks.iter().all(|look| look.asked_us <= look.answered_us));
        let shown = looks.iter().map(|look| (look.state.clone(), look.version));
        shown.collect()
    }

    async fn end(customers: &mut Customers) -> CustomersReport {
        let work = tokio::time::timeout(LIMIT, &mut customers.work);
        work.await.expect("they go home").expect("without a panic");
        customers.report()
    }

    #[tokio::test]
    async fn an_order_is_followed_to_its_end_and_each_question_says_what_was_seen() {
        let (url, asked) = shop(&[
            r#"{"order_id":"o-1","state":"payment_pending","version":2}"#,
            r#"{"state":"paid","version":3}"#,
            r#"{"state":"payment_pending","version":2}"#,
            r#"{"error":{"code":"overloaded"}}"#,
            r#"{"state":"fulfilled","version":4}"#,
        ])
        .await;
        let (mut customers, looks) = visit(&url, following(100));
        assert_eq!(end(&mut customers).await.accepted, 1);
        let version = |state: &str, version| (state.to_owned(), Some(version));
        assert_eq!(
            shown(&looks),
            [
                version("payment_pending", 2),
                version("paid", 3),
                version("payment_pending", 2),
                version("fulfilled", 4)
            ]
        );
        let asked = asked.lock().expect("not poisoned").clone();
        assert_eq!(
            asked,
            [
                "POST /orders HTTP/1.1",
                "GET /orders/o-1?seen=2 HTTP/1.1",
                "GET /orders/o-1?seen=3 HTTP/1.1",
                "GET /orders/o-1?seen=3 HTTP/1.1",
                "GET /orders/o-1?seen=3 HTTP/1.1",
            ]
        );
    }

    #[tokio::test]
    async fn who_changes_his_mind_looks_before_and_after() {
        let (url, asked) = shop(&[
            r#"{"order_id":"o-1"}"#,
            r#"{"state":"payment_pending","version":2}"#,
            r#"{"state":"cancelling","version":3}"#,
            r#"{"state":"cancelled","version":4}"#,
        ])
        .await;
        let habits = Habits {
            cancels: true,
            ..following(100)
        };
        let (mut customers, looks) = visit(&url, habits);
        end(&mut customers).await;
        assert_eq!(shown(&looks).len(), 3);
        let asked = asked.lock().expect("not poisoned").clone();
        assert_eq!(
            asked,
            [
                "POST /orders HTTP/1.1",
                "GET /orders/o-1 HTTP/1.1",
                "POST /orders/o-1/cancel HTTP/1.1",
                "GET /orders/o-1?seen=3 HTTP/1.1",
            ]
        );
    }

    #[tokio::test]
    async fn without_versions_states_are_seen_and_the_looks_are_bounded() {
        let (url, asked) = shop(&[r#"{"order_id":"o-1"}"#, r#"{"state":"packing"}"#]).await;
        let (mut customers, looks) = visit(&url, following(3));
        end(&mut customers).await;
        let packing = ("packing".to_owned(), None);
        assert_eq!(shown(&looks), [packing.clone(), packing.clone(), packing]);
        let last = asked.lock().expect("not poisoned").last().cloned();
        assert_eq!(last.as_deref(), Some("GET /orders/o-1 HTTP/1.1"));
    }

    #[tokio::test]
    async fn who_is_sent_home_looks_no_more() {
        let (url, _) = shop(&[r#"{"order_id":"o-1"}"#, r#"{"state":"paid","version":3}"#]).await;
        let (mut customers, looks) = visit(&url, following(u32::MAX));
        let seen = async {
            while shown(&looks).is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, seen).await.expect("a look");
        let begun = Instant::now();
        assert_eq!(customers.stop(LIMIT).await.accepted, 1);
        assert!(begun.elapsed() < LIMIT, "nobody had to be thrown out");
    }
}
