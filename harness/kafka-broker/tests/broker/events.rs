//! The events that a ledger is kept of.

use crate::clients::{LIMIT, broker, consumer, next, producer, send_numbered, stable};
use kafka_broker::{
    ApiKey, BrokerConfig, Event, EventKind, Events, FaultAction, FaultRule, GroupState,
    OffsetReset, Seen,
};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

/// Reads events until one matches, and returns that one and how many were read before it.
async fn until(events: &mut Events, wanted: impl Fn(&EventKind) -> bool) -> (Event, usize) {
    let reading = async {
        for before in 0.. {
            match events.next().await.expect("the broker lives") {
                Seen::Event(event) if wanted(&event.kind) => return (event, before),
                Seen::Event(_) => {}
                Seen::Dropped(count) => panic!("{count} events dropped"),
            }
        }
        unreachable!("the loop has no end")
    };
    tokio::time::timeout(LIMIT, reading)
        .await
        .expect("the event in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_followed_from_its_append_to_its_commit() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let mut events = broker.watch_events(1000);
    send_numbered(&producer(&listener, false, &[]), "orders", 0, 1).await;
    let (appended, _) = until(&mut events, |kind| {
        matches!(kind, EventKind::Appended { .. })
    })
    .await;
    let EventKind::Appended {
        ref topic,
        first_offset: 0,
        records: 1,
        transactional: false,
        ..
    } = appended.kind
    else {
        panic!("{appended:?}");
    };
    assert_eq!(topic, "orders");
    assert_eq!(appended.origin.expect("client").listener, "service");

    let member = consumer(&listener, "workers", "orders", &[("client.id", "worker-1")]);
    next(&member).await;
    let (rebalanced, _) = until(&mut events, |kind| {
        matches!(
            kind,
            EventKind::Rebalanced {
                state: GroupState::Stable,
                ..
            }
        )
    })
    .await;
    let EventKind::Rebalanced {
        generation: 1,
        members,
        ..
    } = rebalanced.kind
    else {
        panic!("{rebalanced:?}");
    };
    assert_eq!(members.len(), 1);
    assert_eq!(
        (members[0].listener.as_str(), members[0].client_id.as_str()),
        ("service", "worker-1")
    );
    assert_eq!(members[0].assigned, [("orders".to_owned(), 0)]);

    let (delivered, _) = until(&mut events, |kind| {
        matches!(
            kind,
            EventKind::Delivered {
                first_offset: 0,
                end_offset: 1,
                ..
            }
        )
    })
    .await;
    assert_eq!(delivered.origin.expect("client").client_id, "worker-1");

    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset("orders", 0, Offset::Offset(1))
        .expect("offset");
    member
        .commit(&offsets, CommitMode::Async)
        .expect("commit sent");
    let (committed, _) = until(&mut events, |kind| {
        matches!(kind, EventKind::Committed { offset: 1, .. })
    })
    .await;
    assert_eq!(committed.origin.expect("client").client_id, "worker-1");
    broker
        .reset_offsets("workers", "orders", OffsetReset::Earliest)
        .expect("reset");
    let (reset, _) = until(&mut events, |kind| {
        matches!(kind, EventKind::Committed { offset: 0, .. })
    })
    .await;
    assert_eq!(reset.origin, None, "the owner did it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_appended_or_not_delivered_is_not_told_as_such() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let producer = producer(&listener, true, &[]);
    send_numbered(&producer, "orders", 0, 1).await;
    let mut events = broker.watch_events(1000);
    let lost = FaultRule::new(ApiKey::Produce, FaultAction::LoseAnswer).times(1);
    broker.add_fault(lost).expect("rule");
    send_numbered(&producer, "orders", 0, 1).await;
    let (again, appends) = until(&mut events, |kind| {
        matches!(kind, EventKind::Deduplicated { .. })
    })
    .await;
    assert_eq!(
        appends, 1,
        "one append, then the same batch again: {again:?}"
    );

    let lost = FaultRule::new(ApiKey::Fetch, FaultAction::LoseAnswer).times(1);
    let rule = broker.add_fault(lost).expect("rule");
    let member = consumer(&listener, "workers", "orders", &[]);
    stable(&broker, "workers", 1).await;
    next(&member).await;
    assert_eq!(broker.remove_fault(rule), Some(1));
    let delivered = |kind: &EventKind| matches!(kind, EventKind::Delivered { .. });
    until(&mut events, delivered).await;
    while let Some(seen) = events.try_next() {
        let Seen::Event(event) = seen else {
            panic!("events dropped")
        };
        assert!(!delivered(&event.kind), "delivered twice: {event:?}");
    }
}

#[tokio::test]
async fn a_watcher_that_does_not_read_is_told_how_much_it_missed() {
    let (broker, _listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let mut events = broker.watch_events(3);
    for _ in 0..10 {
        broker
            .append("orders", 0, None, Some(b"value"), &[])
            .expect("append");
    }
    assert_eq!(events.next().await, Some(Seen::Dropped(7)));
    for offset in 7..10 {
        let Some(Seen::Event(event)) = events.next().await else {
            panic!("an event")
        };
        let EventKind::Appended { first_offset, .. } = event.kind else {
            panic!("{event:?}")
        };
        assert_eq!(first_offset, offset);
    }
    assert_eq!(events.try_next(), None);
    broker.shutdown().await;
    assert_eq!(events.next().await, None);
}
