//! Consumer groups: joining, expulsion, lag, redelivery, waiting for data.

use crate::clients::{LIMIT, broker, consumer, next, producer, send_numbered, stable};
use kafka_broker::{Broker, BrokerConfig, BrokerError, GroupState, OffsetReset};
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::HashMap;
use std::time::Duration;

/// Makes clients wait so long for data that no test could pass by waiting it out.
const LONG_POLL: &[(&str, &str)] = &[
    ("fetch.wait.max.ms", "60000"),
    ("socket.timeout.ms", "70000"),
];
/// Notices the death of a member quickly.
const SHORT_SESSION: &[(&str, &str)] = &[("session.timeout.ms", "1000")];

fn commit(consumer: &StreamConsumer, topic: &str, partition: i32, offset: i64) {
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset(topic, partition, Offset::Offset(offset))
        .expect("offset");
    consumer.commit(&offsets, CommitMode::Sync).expect("commit");
}

fn append_to_each(broker: &Broker, partitions: i32) {
    for partition in 0..partitions {
        broker
            .append("orders", partition, None, Some(b"value"), &[])
            .expect("append");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_members_share_the_work_without_duplicates() {
    const MEMBERS: usize = 50;
    const RECORDS_EACH: usize = 40;
    // Long enough for the next member to join however busy the machine is: then one rebalance is enough for all.
    let (broker, listener) = broker(BrokerConfig {
        initial_rebalance_delay: Duration::from_secs(2),
        ..BrokerConfig::default()
    })
    .await;
    broker
        .create_topic("orders", MEMBERS as i32)
        .expect("topic");
    let producer = producer(&listener, false, &[]);
    for partition in 0..MEMBERS as i32 {
        send_numbered(&producer, "orders", partition, RECORDS_EACH).await;
    }
    let (seen, mut received) = tokio::sync::mpsc::unbounded_channel();
    let mut members = tokio::task::JoinSet::new();
    for _ in 0..MEMBERS {
        let member = consumer(
            &listener,
            "crowd",
            "orders",
            &[("heartbeat.interval.ms", "1000")],
        );
        let seen = seen.clone();
        members.spawn(async move {
            loop {
                let (partition, offset, _) = next(&member).await;
                if seen.send((partition, offset)).is_err() {
                    return;
                }
            }
        });
    }
    stable(&broker, "crowd", MEMBERS).await;
    let mut counts: HashMap<(i32, i64), usize> = HashMap::new();
    let all = async {
        while counts.len() < MEMBERS * RECORDS_EACH {
            *counts
                .entry(received.recv().await.expect("members"))
                .or_default() += 1;
        }
    };
    tokio::time::timeout(LIMIT, all)
        .await
        .expect("every record delivered");
    assert!(
        counts.values().all(|&count| count == 1),
        "a record was delivered twice"
    );
    let group = broker.group("crowd").expect("group");
    assert_eq!(group.generation, 1, "one rebalance is enough");
    // Without a broker the members need not leave one after the other.
    broker.shutdown().await;
    members.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_dies_is_expelled_and_only_its_uncommitted_tail_comes_again() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    let doomed_listener = broker.listen("doomed", None).await.expect("listen");
    broker.create_topic("orders", 2).expect("topic");
    let doomed = consumer(&doomed_listener, "workers", "orders", SHORT_SESSION);
    let survivor = consumer(&listener, "workers", "orders", SHORT_SESSION);
    let polling = async {
        // Members take part in a rebalance while they are polled.
        tokio::select! {
            message = doomed.recv() => panic!("nothing was produced: {message:?}"),
            message = survivor.recv() => panic!("nothing was produced: {message:?}"),
            () = stable(&broker, "workers", 2) => {}
        }
    };
    polling.await;
    let producer = producer(&listener, false, &[]);
    for partition in 0..2 {
        send_numbered(&producer, "orders", partition, 30).await;
    }
    let (doomed_partition, _, _) = next(&doomed).await;
    let (own_partition, _, _) = next(&survivor).await;
    for offset in 1..30 {
        assert_eq!(next(&doomed).await.1, offset);
        assert_eq!(next(&survivor).await.1, offset);
    }
    commit(&doomed, "orders", doomed_partition, 25);
    commit(&survivor, "orders", own_partition, 30);
    broker.set_down(Some("doomed"), true).await.expect("down");
    for offset in 25..30 {
        let (partition, again, _) = next(&survivor).await;
        assert_eq!((partition, again), (doomed_partition, offset));
    }
    send_numbered(&producer, "orders", own_partition, 1).await;
    let (partition, offset, _) = next(&survivor).await;
    assert_eq!((partition, offset), (own_partition, 30));
    assert_eq!(broker.group("workers").expect("group").members.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_is_exact() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 2).expect("topic");
    let producer = producer(&listener, false, &[]);
    send_numbered(&producer, "orders", 0, 100).await;
    send_numbered(&producer, "orders", 1, 7).await;
    let consumer = consumer(&listener, "workers", "orders", &[]);
    next(&consumer).await;
    assert_eq!(broker.lag("workers"), 107, "nothing is committed");
    commit(&consumer, "orders", 0, 60);
    let progress = broker.group_progress();
    let of = |partition: usize| {
        (
            progress[partition].committed,
            progress[partition].end,
            progress[partition].lag(),
        )
    };
    assert_eq!(progress.len(), 2);
    assert_eq!(of(0), (Some(60), 100, 40));
    assert_eq!(of(1), (None, 7, 7));
    assert_eq!(broker.lag("workers"), 47);
    assert_eq!(broker.lag("nobody"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_reset_delivers_again_to_a_running_consumer() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    send_numbered(&producer(&listener, false, &[]), "orders", 0, 10).await;
    let consumer = consumer(&listener, "workers", "orders", &[]);
    for expected in 0..10 {
        assert_eq!(next(&consumer).await.1, expected);
    }
    commit(&consumer, "orders", 0, 10);
    broker
        .reset_offsets("workers", "orders", OffsetReset::To(4))
        .expect("reset");
    for expected in 4..10 {
        assert_eq!(next(&consumer).await.1, expected);
    }
    let outside = broker.reset_offsets("workers", "orders", OffsetReset::To(11));
    assert!(matches!(
        outside,
        Err(BrokerError::OffsetOutOfRange { end: 10, .. })
    ));
    broker
        .reset_offsets("workers", "orders", OffsetReset::Back(3))
        .expect("reset");
    assert_eq!(broker.lag("workers"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_of_a_group_that_is_yet_to_come_can_be_set() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    send_numbered(&producer(&listener, false, &[]), "orders", 0, 10).await;
    broker
        .reset_offsets("workers", "orders", OffsetReset::To(8))
        .expect("reset");
    let consumer = consumer(&listener, "workers", "orders", &[]);
    assert_eq!(next(&consumer).await.1, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_fetch_is_woken_by_new_data() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 8).expect("topic");
    let consumer = consumer(&listener, "workers", "orders", LONG_POLL);
    broker
        .append("orders", 3, None, Some(b"first"), &[])
        .expect("append");
    next(&consumer).await;
    for partition in [0, 7, 3] {
        broker
            .append("orders", partition, None, Some(b"more"), &[])
            .expect("append");
        assert_eq!(next(&consumer).await.0, partition);
    }
}

/// The client's first fetch names the partitions whose offsets it learnt first, here empty ones.
#[tokio::test(flavor = "multi_thread")]
async fn records_in_any_partition_come_without_a_long_poll_on_the_others() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    for partition in [0, 3, 7] {
        let topic = format!("orders-{partition}");
        broker.create_topic(&topic, 8).expect("topic");
        broker
            .append(&topic, partition, None, Some(b"value"), &[])
            .expect("append");
        let consumer = consumer(&listener, &topic, &topic, LONG_POLL);
        assert_eq!(next(&consumer).await.0, partition);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_leaves_makes_room_at_once() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 4).expect("topic");
    let first = consumer(&listener, "workers", "orders", &[("client.id", "first")]);
    let second = consumer(&listener, "workers", "orders", &[("client.id", "second")]);
    tokio::select! {
        message = first.recv() => panic!("nothing was produced: {message:?}"),
        message = second.recv() => panic!("nothing was produced: {message:?}"),
        () = stable(&broker, "workers", 2) => {}
    }
    append_to_each(&broker, 4);
    for member in [&first, &second] {
        for _ in 0..2 {
            let (partition, offset, _) = next(member).await;
            commit(member, "orders", partition, offset + 1);
        }
    }
    // Closing a member before it has used its assignment can block in the client library, hence the records.
    tokio::task::spawn_blocking(move || drop(first))
        .await
        .expect("left");
    tokio::select! {
        message = second.recv() => panic!("nothing was produced: {message:?}"),
        () = stable(&broker, "workers", 1) => {}
    }
    append_to_each(&broker, 4);
    for _ in 0..4 {
        assert_eq!(next(&second).await.1, 1);
    }
    let group = broker.group("workers").expect("group");
    assert_eq!(group.members[0].client_id, "second");
    let assigned: Vec<_> = (0..4)
        .map(|partition| ("orders".to_owned(), partition))
        .collect();
    assert_eq!(group.members[0].assigned, assigned);
}

/// With the cooperative strategy a member keeps what it has while another one joins.
#[tokio::test(flavor = "multi_thread")]
async fn a_cooperative_member_goes_on_while_another_joins() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 4).expect("topic");
    let cooperative = [("partition.assignment.strategy", "cooperative-sticky")];
    let first = consumer(&listener, "workers", "orders", &cooperative);
    append_to_each(&broker, 4);
    let mut received = Vec::new();
    for _ in 0..4 {
        let (partition, offset, _) = next(&first).await;
        commit(&first, "orders", partition, offset + 1);
        received.push((partition, offset));
    }
    let second = consumer(&listener, "workers", "orders", &cooperative);
    let shared = |broker: &Broker| {
        let group = broker.group("workers").expect("group");
        let shares = group.members.iter().map(|member| member.assigned.len());
        group.state == GroupState::Stable && shares.eq([2, 2])
    };
    tokio::select! {
        message = first.recv() => panic!("nothing new was produced: {message:?}"),
        message = second.recv() => panic!("nothing new was produced: {message:?}"),
        shared = broker.wait_for(LIMIT, shared) => assert!(shared, "{:?}", broker.group("workers")),
    }
    append_to_each(&broker, 4);
    for member in [&first, &second] {
        for _ in 0..2 {
            let (partition, offset, _) = next(member).await;
            received.push((partition, offset));
        }
    }
    received.sort_unstable();
    let once: Vec<_> = (0..4)
        .flat_map(|partition| [(partition, 0), (partition, 1)])
        .collect();
    assert_eq!(received, once);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_member_that_restarts_causes_no_rebalance() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 2).expect("topic");
    send_numbered(&producer(&listener, false, &[]), "orders", 0, 3).await;
    let fixed = [("group.instance.id", "worker-1")];
    let first = consumer(&listener, "workers", "orders", &fixed);
    next(&first).await;
    commit(&first, "orders", 0, 2);
    tokio::task::spawn_blocking(move || drop(first))
        .await
        .expect("stopped");
    let second = consumer(&listener, "workers", "orders", &fixed);
    assert_eq!(next(&second).await.1, 2);
    let group = broker.group("workers").expect("group");
    assert_eq!(
        (group.generation, group.state, group.members.len()),
        (1, GroupState::Stable, 1)
    );
    assert_eq!(group.members[0].instance_id.as_deref(), Some("worker-1"));
}

#[tokio::test]
async fn waiting_for_what_never_comes_ends_at_the_limit() {
    let broker = Broker::new(BrokerConfig::default());
    let limit = Duration::from_millis(10);
    assert!(
        !broker
            .wait_for(limit, |broker| !broker.topics().is_empty())
            .await
    );
    broker.create_topic("orders", 1).expect("topic");
    assert!(
        broker
            .wait_for(limit, |broker| !broker.topics().is_empty())
            .await
    );
}
