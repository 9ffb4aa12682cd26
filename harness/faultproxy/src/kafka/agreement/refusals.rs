//! The proxy's own error answers are well formed in every version.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::*;

use super::super::api_key::ApiKey as Key;
use super::super::rule::{KafkaAction, KafkaRule};
use super::super::rule_set::Rules;
use super::{TOPIC_ID, data, read, request, session, text, topic_name, uuid_of_topic as id};
use crate::toxic::Stream;

/// Sends a request under an error rule and returns the proxy's own answer.
fn refused(api: Key, frame: &[u8], topic: Option<&str>) -> Vec<u8> {
    let rules = Arc::new(Rules::default());
    let mut rule = KafkaRule::new(
        "rule",
        api.to_string(),
        KafkaAction::Error {
            code: 27,
            applied: false,
        },
    );
    rule.topic = topic.map(str::to_owned);
    let handle = rules.add(rule).expect("a rule");
    rules.learn(vec![(TOPIC_ID, "orders".to_owned())]);
    let mut session = session(&rules);
    // However it is cut, it is one request.
    let (first, second) = frame.split_at(frame.len() / 2);
    assert_eq!(session.feed(Stream::Upstream, first), Ok(vec![]));
    assert_eq!(
        session.feed(Stream::Upstream, second),
        Ok(vec![]),
        "the broker does not hear of it"
    );
    assert_eq!(handle.counts().acted, 1);
    data(session.take_own_answers())
}

#[test]
fn produce_is_refused_for_each_partition() {
    for version in 3..=9 {
        let partition = |index| {
            let records = Some(Bytes::from_static(b"records"));
            produce_request::PartitionProduceData::default()
                .with_index(index)
                .with_records(records)
        };
        let topic = produce_request::TopicProduceData::default()
            .with_name(topic_name())
            .with_partition_data(vec![partition(0), partition(5)]);
        let body = ProduceRequest::default()
            .with_acks(-1)
            .with_transactional_id(Some(TransactionalId(text("t"))))
            .with_topic_data(vec![topic]);
        let answer = refused(
            Key::PRODUCE,
            &request(Key::PRODUCE, version, &body),
            Some("orders"),
        );
        let answer: ProduceResponse = read(version, &answer);
        assert_eq!(answer.responses[0].name, topic_name());
        let partitions = &answer.responses[0].partition_responses;
        let told: Vec<_> = partitions
            .iter()
            .map(|p| (p.index, p.error_code, p.base_offset))
            .collect();
        assert_eq!(told, [(0, 27, -1), (5, 27, -1)]);
    }
}

#[test]
fn fetch_is_refused_by_name_and_by_id() {
    for version in 4..=15 {
        let partition = fetch_request::FetchPartition::default()
            .with_partition(3)
            .with_fetch_offset(9);
        let mut topic = fetch_request::FetchTopic::default().with_partitions(vec![partition]);
        if version >= 13 {
            topic = topic.with_topic_id(id());
        } else {
            topic = topic.with_topic(topic_name());
        }
        let mut body = FetchRequest::default().with_topics(vec![topic]);
        if version >= 7 {
            body = body.with_session_id(44);
        }
        let answer = refused(
            Key::FETCH,
            &request(Key::FETCH, version, &body),
            Some("orders"),
        );
        let answer: FetchResponse = read(version, &answer);
        if version >= 13 {
            assert_eq!(answer.responses[0].topic_id, id());
        } else {
            assert_eq!(answer.responses[0].topic, topic_name());
        }
        let partition = &answer.responses[0].partitions[0];
        assert_eq!((partition.partition_index, partition.error_code), (3, 27));
        assert_eq!(
            (answer.error_code, answer.session_id),
            (0, if version >= 7 { 44 } else { 0 })
        );
    }
}

#[test]
fn offset_commits_are_refused_for_each_partition() {
    for version in 2..=9 {
        let partition = offset_commit_request::OffsetCommitRequestPartition::default()
            .with_partition_index(2)
            .with_committed_metadata(Some(text("m")));
        let topic = offset_commit_request::OffsetCommitRequestTopic::default()
            .with_name(topic_name())
            .with_partitions(vec![partition]);
        let body = OffsetCommitRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_member_id(text("m"))
            .with_topics(vec![topic]);
        let answer = refused(
            Key::OFFSET_COMMIT,
            &request(Key::OFFSET_COMMIT, version, &body),
            Some("orders"),
        );
        let answer: OffsetCommitResponse = read(version, &answer);
        assert_eq!(answer.topics[0].name, topic_name());
        let partition = &answer.topics[0].partitions[0];
        assert_eq!((partition.partition_index, partition.error_code), (2, 27));
    }
}

#[test]
fn group_requests_are_refused() {
    for version in 0..=4 {
        let frame = request(Key::HEARTBEAT, version, &HeartbeatRequest::default());
        assert_eq!(
            read::<HeartbeatResponse>(version, &refused(Key::HEARTBEAT, &frame, None)).error_code,
            27
        );
    }
    for version in 0..=9 {
        let body = JoinGroupRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_member_id(text("me"));
        let answer = refused(
            Key::JOIN_GROUP,
            &request(Key::JOIN_GROUP, version, &body),
            None,
        );
        let answer: JoinGroupResponse = read(version, &answer);
        assert_eq!((answer.error_code, answer.member_id), (27, text("me")));
    }
    for version in 0..=5 {
        let frame = request(Key::SYNC_GROUP, version, &SyncGroupRequest::default());
        assert_eq!(
            read::<SyncGroupResponse>(version, &refused(Key::SYNC_GROUP, &frame, None)).error_code,
            27
        );
        let frame = request(Key::LEAVE_GROUP, version, &LeaveGroupRequest::default());
        assert_eq!(
            read::<LeaveGroupResponse>(version, &refused(Key::LEAVE_GROUP, &frame, None))
                .error_code,
            27
        );
        let frame = request(
            Key::INIT_PRODUCER_ID,
            version,
            &InitProducerIdRequest::default(),
        );
        let answer = refused(Key::INIT_PRODUCER_ID, &frame, None);
        assert_eq!(
            read::<InitProducerIdResponse>(version, &answer).error_code,
            27
        );
    }
    for version in 0..=6 {
        let mut body = FindCoordinatorRequest::default();
        if version >= 4 {
            body = body.with_coordinator_keys(vec![text("a"), text("b")]);
        } else {
            body = body.with_key(text("a"));
        }
        let answer = refused(
            Key::FIND_COORDINATOR,
            &request(Key::FIND_COORDINATOR, version, &body),
            None,
        );
        let answer: FindCoordinatorResponse = read(version, &answer);
        if version >= 4 {
            let told: Vec<_> = answer
                .coordinators
                .iter()
                .map(|c| (c.key.as_str(), c.error_code))
                .collect();
            assert_eq!(told, [("a", 27), ("b", 27)]);
        } else {
            assert_eq!(answer.error_code, 27);
        }
    }
}
