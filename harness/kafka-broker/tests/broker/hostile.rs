//! Hostile and broken clients: their connection is closed, nobody else notices.

use crate::clients::{LIMIT, broker};
use crate::versions::{announced, sample};
use crate::wire::Wire;
use bytes::Bytes;
use kafka_broker::{ApiKey, Broker, BrokerConfig, Listener};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;

/// The broker under attack and a client that must not notice.
struct Siege {
    runtime: Runtime,
    _broker: Broker,
    listener: Listener,
    announced: Vec<(ApiKey, i16, i16)>,
}

impl Siege {
    fn begin() -> (Self, Wire) {
        let runtime = Runtime::new().expect("runtime");
        let config = BrokerConfig {
            max_frame_bytes: 1 << 20,
            ..BrokerConfig::default()
        };
        let (broker, listener) = runtime.block_on(broker(config));
        broker.create_topic("orders", 2).expect("topic");
        let (announced, bystander) = runtime
            .block_on(async { (announced(&listener).await, Wire::connect(&listener).await) });
        (
            Self {
                runtime,
                _broker: broker,
                listener,
                announced,
            },
            bystander,
        )
    }

    /// Sends bytes on a connection of their own, then asks the bystander whether all is well.
    fn attack(&self, bystander: &mut Wire, bytes: &[u8]) {
        let attack = async {
            let mut attacker = Wire::connect(&self.listener).await;
            // The broker may have closed before everything is sent, or answer what happens to be a request.
            let _ = attacker.send(bytes).await;
            let _ = attacker.finish().await;
            while attacker.answer().await.is_ok() {}
            bystander
                .metadata()
                .await
                .expect("the bystander is answered");
        };
        self.runtime.block_on(async {
            tokio::time::timeout(LIMIT, attack)
                .await
                .expect("the broker is alive")
        });
    }

    fn sample(&self, api: Index, version: Index) -> Bytes {
        let (api, low, high) = self.announced[api.index(self.announced.len())];
        sample(api, low + version.index((high - low + 1) as usize) as i16)
    }
}

fn prefixed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes()[..], body].concat()
}

fn check<S: Strategy>(cases: u32, strategy: S, test: impl Fn(&Siege, &mut Wire, S::Value)) {
    let (siege, bystander) = Siege::begin();
    let bystander = std::cell::RefCell::new(bystander);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let attacked = TestRunner::new(config).run(&strategy, |value| {
        test(&siege, &mut bystander.borrow_mut(), value);
        Ok(())
    });
    attacked.unwrap_or_else(|error| panic!("{error}"));
    let requests = siege.listener.requests();
    assert!(
        requests >= u64::from(cases),
        "the bystander asked after every attack: {requests}"
    );
}

#[test]
fn random_bytes() {
    check(200, vec(any::<u8>(), 0..300), |siege, bystander, bytes| {
        siege.attack(bystander, &bytes)
    });
}

#[test]
fn random_bodies_of_real_requests() {
    let strategy = (any::<Index>(), any::<Index>(), vec(any::<u8>(), 0..200));
    check(400, strategy, |siege, bystander, (api, version, body)| {
        let real = siege.sample(api, version);
        // API, version, correlation id, and a null client id.
        let start = [&real[4..12], &[0xff, 0xff]].concat();
        siege.attack(bystander, &prefixed(&[start, body].concat()));
    });
}

#[test]
fn real_requests_with_changed_bytes() {
    let change = (any::<Index>(), any::<u8>());
    let strategy = (any::<Index>(), any::<Index>(), vec(change, 1..6));
    check(
        400,
        strategy,
        |siege, bystander, (api, version, changes)| {
            let mut body = siege.sample(api, version)[4..].to_vec();
            for (at, byte) in changes {
                let at = at.index(body.len());
                body[at] = byte;
            }
            siege.attack(bystander, &prefixed(&body));
        },
    );
}

#[test]
fn real_requests_cut_short() {
    let strategy = (any::<Index>(), any::<Index>(), any::<Index>());
    check(200, strategy, |siege, bystander, (api, version, length)| {
        let real = siege.sample(api, version);
        let length = length.index(real.len());
        // Once with the connection ending inside the frame, once with a frame that claims to be whole.
        siege.attack(bystander, &real[..length]);
        siege.attack(
            bystander,
            &prefixed(real.get(4..length).unwrap_or_default()),
        );
    });
}

/// Every field that could be an element count claims millions of elements in turn: nothing may be allocated for them.
#[test]
fn element_counts_that_lie() {
    let (siege, mut bystander) = Siege::begin();
    for &(api, low, high) in &siege.announced {
        for version in [low, high] {
            let real = sample(api, version);
            for at in 10..(real.len() - 4).saturating_sub(3) {
                let mut body = real[4..].to_vec();
                body[at..at + 4].copy_from_slice(&[0x7f, 0xff, 0xff, 0xf0]);
                siege.attack(&mut bystander, &prefixed(&body[..]));
                let mut body = real[4..].to_vec();
                body.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0x0f]);
                siege.attack(&mut bystander, &prefixed(&body[..]));
            }
        }
    }
}

#[test]
fn frames_that_are_no_requests() {
    let (siege, mut bystander) = Siege::begin();
    for bytes in [
        &[0xff, 0xff, 0xff, 0xff][..],
        &[0x7f, 0xff, 0xff, 0xff, 0, 3],
        &[0, 0, 0, 0],
        &[0, 0, 0, 7, 0, 3, 0, 0, 0, 0, 0],
        // One byte over the limit.
        &[0, 0x10, 0, 1],
        // An API that does not exist, one of brokers among themselves, a version that does not exist.
        &[0, 0, 0, 10, 0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
        &[0, 0, 0, 10, 0, 52, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
        &[0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff],
        &[0, 0, 0, 10, 0, 3, 0xff, 0xff, 0, 0, 0, 1, 0xff, 0xff],
        b"GET / HTTP/1.1\r\n\r\n",
        // A TLS client hello.
        &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00],
    ] {
        siege.runtime.block_on(async {
            let mut attacker = Wire::connect(&siege.listener).await;
            attacker.send(bytes).await.expect("sent");
            let closed = tokio::time::timeout(LIMIT, attacker.closed())
                .await
                .expect("in time");
            assert!(closed, "{bytes:x?} must not be answered");
            bystander
                .metadata()
                .await
                .expect("the bystander is answered");
        });
    }
}
