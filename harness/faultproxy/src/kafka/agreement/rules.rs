//! Rules act on the requests they are about, and what is hostile harms nobody.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::*;
use proptest::prelude::*;

use super::super::api_key::ApiKey as Key;
use super::super::rule::{KafkaAction, KafkaRule};
use super::super::rule_set::Rules;
use super::super::session::Piece;
use super::{CORRELATION, answer, data, framed, read, request, session};
use crate::toxic::{Ending, Stream};

#[test]
fn own_answers_keep_the_order_of_the_requests() {
    let rules = Arc::new(Rules::default());
    let mut rule = KafkaRule::new(
        "rule",
        "Heartbeat",
        KafkaAction::Error {
            code: 27,
            applied: false,
        },
    );
    rule.times = Some(1);
    let _handle = rules.add(rule).expect("a rule");
    let mut session = session(&rules);
    let list = request(Key(16), 0, &ListGroupsRequest::default());
    let heartbeat = request(Key::HEARTBEAT, 0, &HeartbeatRequest::default());
    assert_eq!(
        data(session.feed(Stream::Upstream, &list).expect("a request")),
        list
    );
    assert!(
        session
            .feed(Stream::Upstream, &heartbeat)
            .expect("a request")
            .is_empty()
    );
    assert!(
        !session.has_own_answers(),
        "the broker's answer comes first"
    );
    let listed = answer(0, &ListGroupsResponse::default());
    let told = data(
        session
            .feed(Stream::Downstream, &listed)
            .expect("an answer"),
    );
    assert!(told.starts_with(&listed) && told.len() > listed.len());
    assert_eq!(
        read::<HeartbeatResponse>(0, &told[listed.len()..]).error_code,
        27
    );
    assert_eq!(
        data(
            session
                .feed(Stream::Upstream, &heartbeat)
                .expect("a request")
        ),
        heartbeat,
        "it was to act once"
    );
}

#[test]
fn rules_lose_delay_and_refuse() {
    let heartbeat = request(Key::HEARTBEAT, 0, &HeartbeatRequest::default());
    let answered = answer(0, &HeartbeatResponse::default());
    let acting = |action| {
        let rules = Arc::new(Rules::default());
        let handle = rules
            .add(KafkaRule::new("rule", "Heartbeat", action))
            .expect("a rule");
        (session(&rules), handle)
    };
    let (mut session, handle) = acting(KafkaAction::LoseAnswer);
    assert_eq!(
        data(
            session
                .feed(Stream::Upstream, &heartbeat)
                .expect("a request")
        ),
        heartbeat
    );
    assert_eq!(handle.counts().acted, 0, "nothing was lost yet");
    assert_eq!(
        session.feed(Stream::Downstream, &answered),
        Ok(vec![Piece::End(Ending::Close)])
    );
    assert_eq!(handle.counts().acted, 1);

    let (mut session, handle) = acting(KafkaAction::RefuseRequest);
    assert_eq!(
        session.feed(Stream::Upstream, &heartbeat),
        Ok(vec![Piece::End(Ending::Close)])
    );
    assert_eq!(handle.counts().acted, 1);

    let (mut session, handle) = acting(KafkaAction::Delay { delay_ms: 250 });
    assert_eq!(
        data(
            session
                .feed(Stream::Upstream, &heartbeat)
                .expect("a request")
        ),
        heartbeat
    );
    let late = session
        .feed(Stream::Downstream, &answered)
        .expect("an answer");
    let delay = Duration::from_millis(250);
    assert!(
        late.iter()
            .all(|piece| matches!(piece, Piece::Data(_, after) if *after == delay))
    );
    assert_eq!((data(late), handle.counts().acted), (answered.clone(), 1));

    let (mut session, handle) = acting(KafkaAction::Error {
        code: 16,
        applied: true,
    });
    assert_eq!(
        data(
            session
                .feed(Stream::Upstream, &heartbeat)
                .expect("a request")
        ),
        heartbeat
    );
    let told = data(
        session
            .feed(Stream::Downstream, &answered)
            .expect("an answer"),
    );
    assert_eq!(read::<HeartbeatResponse>(0, &told).error_code, 16);
    assert_eq!(handle.counts().acted, 1);
}

#[test]
fn a_produce_without_acknowledgement_is_not_waited_for() {
    let rules = Arc::new(Rules::default());
    let handle = rules
        .add(KafkaRule::new("rule", "Produce", KafkaAction::LoseAnswer))
        .expect("a rule");
    let mut session = session(&rules);
    let silent = request(Key::PRODUCE, 9, &ProduceRequest::default().with_acks(0));
    let heartbeat = request(Key::HEARTBEAT, 0, &HeartbeatRequest::default());
    let both = [silent, heartbeat].concat();
    assert_eq!(
        data(session.feed(Stream::Upstream, &both).expect("two requests")),
        both
    );
    let answered = answer(0, &HeartbeatResponse::default());
    assert_eq!(
        data(
            session
                .feed(Stream::Downstream, &answered)
                .expect("an answer")
        ),
        answered
    );
    assert_eq!(handle.counts().acted, 0);
}

#[test]
fn an_answer_to_nothing_and_absurd_lengths_are_broken() {
    let rules = Arc::new(Rules::default());
    let wrong = answer(0, &HeartbeatResponse::default());
    assert!(session(&rules).feed(Stream::Downstream, &wrong).is_err());
    for length in [0, 7, 1 << 21, u32::MAX] {
        assert!(
            session(&rules)
                .feed(Stream::Upstream, &length.to_be_bytes())
                .is_err()
        );
    }
    // Two thousand million topics are claimed, none is there: no memory is taken for them.
    let mut claimed = vec![0, 0, 0, 3, 0, 0, 0, 1, 255, 255, 255, 255, 0, 1, 0, 0, 0, 0];
    claimed.extend(i32::MAX.to_be_bytes());
    assert!(
        session(&rules)
            .feed(Stream::Upstream, &framed(&claimed))
            .is_err()
    );
}

proptest! {
    #[test]
    fn whatever_is_sent_nothing_panics(
        api in prop::sample::select(vec![0_i16, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 18, 22, 60, 99, -1]),
        version in -1_i16..20,
        body in prop::collection::vec(any::<u8>(), 0..200),
        back in prop::collection::vec(any::<u8>(), 0..200),
        topic in any::<bool>(),
    ) {
        let rules = Arc::new(Rules::default());
        for (name, action) in [("a", KafkaAction::Error { code: 1, applied: topic }), ("b", KafkaAction::LoseAnswer)] {
            let mut rule = KafkaRule::new(name, Key(api).to_string(), action);
            rule.topic = topic.then(|| "orders".to_owned());
            rule.share = 0.5;
            let _handle = rules.add(rule);
        }
        let mut session = session(&rules);
        let head = [api.to_be_bytes(), version.to_be_bytes()].concat();
        let sent = framed(&[&head, CORRELATION.to_be_bytes().as_slice(), &body].concat());
        let came = framed(&[CORRELATION.to_be_bytes().as_slice(), &back].concat());
        let _pieces = session.feed(Stream::Upstream, &sent);
        let _pieces = session.feed(Stream::Downstream, &came);
        let _pieces = session.feed(Stream::Upstream, &body);
        let _pieces = session.feed(Stream::Downstream, &back);
    }
}
