//! What is read and written here agrees with the `kafka-protocol` codecs, in every version that clients are offered.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use proptest::prelude::*;
use uuid_of_topic as id;

use super::address::{HostPort, KafkaSettings, Told};
use super::api_key::ApiKey as Key;
use super::rule::{KafkaAction, KafkaRule};
use super::rule_set::Rules;
use super::session::{Bounds, Piece, Session};
use crate::toxic::{Ending, Stream};

const CORRELATION: i32 = 77;
const TOPIC_ID: [u8; 16] = [7; 16];

fn uuid_of_topic() -> uuid::Uuid {
    uuid::Uuid::from_bytes(TOPIC_ID)
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name() -> TopicName {
    TopicName(text("orders"))
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn request<R: Encodable + HeaderVersion>(api: Key, version: i16, body: &R) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(api.0)
        .with_request_api_version(version)
        .with_correlation_id(CORRELATION)
        .with_client_id(Some(text("a client")));
    let mut bytes = BytesMut::new();
    header
        .encode(&mut bytes, R::header_version(version))
        .expect("a header");
    body.encode(&mut bytes, version).expect("a body");
    framed(&bytes)
}

fn answer<R: Encodable + HeaderVersion>(version: i16, body: &R) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(CORRELATION);
    header
        .encode(&mut bytes, R::header_version(version))
        .expect("a header");
    body.encode(&mut bytes, version).expect("a body");
    framed(&bytes)
}

/// Reads a frame with the codecs, to its last byte.
fn read<R: Decodable + HeaderVersion>(version: i16, frame: &[u8]) -> R {
    let length = u32::from_be_bytes(frame[..4].try_into().expect("a length")) as usize;
    assert_eq!(length, frame.len() - 4, "the length in front is the length");
    let mut bytes = Bytes::copy_from_slice(&frame[4..]);
    let header = ResponseHeader::decode(&mut bytes, R::header_version(version)).expect("a header");
    assert_eq!(header.correlation_id, CORRELATION);
    let body = R::decode(&mut bytes, version).expect("a body");
    assert!(
        bytes.is_empty(),
        "{} bytes too many in version {version}",
        bytes.len()
    );
    body
}

fn session(rules: &Arc<Rules>) -> Session {
    let told = Told {
        settings: KafkaSettings::default(),
        reached: HostPort {
            host: "proxy.example".to_owned(),
            port: 9999,
        },
    };
    let bounds = Bounds {
        frame_bytes: 1 << 20,
        in_flight: 16,
    };
    Session::new(Arc::clone(rules), told, bounds, 1, 1)
}

fn data(pieces: Vec<Piece>) -> Vec<u8> {
    pieces
        .into_iter()
        .flat_map(|piece| match piece {
            Piece::Data(bytes, _) => bytes.to_vec(),
            Piece::End(ending) => panic!("the connection ended: {ending:?}"),
        })
        .collect()
}

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

/// Passes a request and the broker's answer to it, and returns what the client gets.
fn passed(rules: &Arc<Rules>, request: &[u8], answer: &[u8]) -> Vec<u8> {
    let mut session = session(rules);
    assert_eq!(
        data(session.feed(Stream::Upstream, request).expect("a request")),
        request
    );
    let mut all = Vec::new();
    for piece in answer.chunks(7) {
        all.extend(data(
            session.feed(Stream::Downstream, piece).expect("an answer"),
        ));
    }
    all
}

fn metadata(version: i16, host: &str, port: i32) -> MetadataResponse {
    let mut broker = metadata_response::MetadataResponseBroker::default()
        .with_node_id(BrokerId(1))
        .with_host(text(host))
        .with_port(port);
    let mut partition = metadata_response::MetadataResponsePartition::default()
        .with_partition_index(4)
        .with_leader_id(BrokerId(1))
        .with_replica_nodes(vec![BrokerId(1)])
        .with_isr_nodes(vec![BrokerId(1)]);
    if version >= 1 {
        broker = broker.with_rack(Some(text("rack")));
    }
    if version >= 7 {
        partition = partition.with_leader_epoch(3);
    }
    let mut topic = metadata_response::MetadataResponseTopic::default()
        .with_name(Some(topic_name()))
        .with_partitions(vec![partition]);
    let other = topic.clone().with_name(Some(TopicName(text("other"))));
    if version >= 10 {
        topic = topic.with_topic_id(id());
    }
    let mut body = MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_topics(vec![topic, other]);
    if version >= 2 {
        body = body.with_cluster_id(Some(text("cluster")));
    }
    body
}

#[test]
fn metadata_names_the_proxy_and_nothing_else_changes() {
    for version in 0..=13 {
        let rules = Arc::new(Rules::default());
        let asked = request(
            Key::METADATA,
            version,
            &MetadataRequest::default().with_topics(Some(vec![])),
        );
        let told = passed(
            &rules,
            &asked,
            &answer(version, &metadata(version, "broker.secret", 9092)),
        );
        let wanted = metadata(version, "proxy.example", 9999);
        assert_eq!(
            read::<MetadataResponse>(version, &told),
            read(version, &answer(version, &wanted))
        );
        assert_eq!(rules.counts().rewritten, 1);
    }
}

#[test]
fn metadata_of_one_topic_gets_an_error() {
    for version in 1..=13 {
        let rules = Arc::new(Rules::default());
        let mut rule = KafkaRule::new(
            "rule",
            "Metadata",
            KafkaAction::Error {
                code: 5,
                applied: false,
            },
        );
        rule.topic = Some("orders".to_owned());
        let handle = rules.add(rule).expect("a rule");
        let asked = request(
            Key::METADATA,
            version,
            &MetadataRequest::default().with_topics(Some(vec![])),
        );
        let told = passed(
            &rules,
            &asked,
            &answer(version, &metadata(version, "broker.secret", 9092)),
        );
        let told: MetadataResponse = read(version, &told);
        assert_eq!(
            (told.topics[0].error_code, told.topics[0].partitions.len()),
            (5, 0)
        );
        assert_eq!(
            (told.topics[1].error_code, told.topics[1].partitions.len()),
            (0, 1)
        );
        assert_eq!(told.brokers[0].host, text("proxy.example"));
        assert_eq!(handle.counts().acted, 1);
    }
}

#[test]
fn coordinators_and_clusters_name_the_proxy() {
    let rules = Arc::new(Rules::default());
    for version in 0..=6 {
        let asked = request(
            Key::FIND_COORDINATOR,
            version,
            &FindCoordinatorRequest::default(),
        );
        let body = |host: &str, port| {
            if version >= 4 {
                let coordinator = find_coordinator_response::Coordinator::default()
                    .with_key(text("g"))
                    .with_node_id(BrokerId(1))
                    .with_host(text(host))
                    .with_port(port);
                FindCoordinatorResponse::default().with_coordinators(vec![coordinator])
            } else {
                FindCoordinatorResponse::default()
                    .with_node_id(BrokerId(1))
                    .with_host(text(host))
                    .with_port(port)
            }
        };
        let told = passed(
            &rules,
            &asked,
            &answer(version, &body("broker.secret", 9092)),
        );
        assert_eq!(
            told,
            answer(version, &body("proxy.example", 9999)),
            "version {version}"
        );
    }
    for version in 0..=2 {
        let asked = request(
            Key::DESCRIBE_CLUSTER,
            version,
            &DescribeClusterRequest::default(),
        );
        let body = |host: &str, port| {
            let broker = describe_cluster_response::DescribeClusterBroker::default()
                .with_broker_id(BrokerId(1))
                .with_host(text(host))
                .with_port(port);
            DescribeClusterResponse::default()
                .with_cluster_id(text("c"))
                .with_brokers(vec![broker])
        };
        let told = passed(
            &rules,
            &asked,
            &answer(version, &body("broker.secret", 9092)),
        );
        assert_eq!(
            told,
            answer(version, &body("proxy.example", 9999)),
            "version {version}"
        );
    }
}

#[test]
fn only_versions_that_cannot_lead_around_the_proxy_are_offered() {
    let offered = |api_key: i16, min, max| {
        api_versions_response::ApiVersion::default()
            .with_api_key(api_key)
            .with_min_version(min)
            .with_max_version(max)
    };
    for version in 0..=4 {
        let rules = Arc::new(Rules::default());
        let asked = request(Key::API_VERSIONS, version, &ApiVersionsRequest::default());
        let body = ApiVersionsResponse::default().with_api_keys(vec![
            offered(0, 3, 13),
            offered(1, 4, 18),
            offered(12, 0, 4),
            offered(78, 1, 1),
        ]);
        let told: ApiVersionsResponse =
            read(version, &passed(&rules, &asked, &answer(version, &body)));
        assert_eq!(
            told.api_keys,
            [offered(0, 3, 9), offered(1, 4, 15), offered(12, 0, 4)]
        );
    }
    // A broker that does not know the version answers in the format of version 0.
    let rules = Arc::new(Rules::default());
    let asked = request(Key::API_VERSIONS, 4, &ApiVersionsRequest::default());
    let body = ApiVersionsResponse::default()
        .with_error_code(35)
        .with_api_keys(vec![offered(0, 3, 13)]);
    let told: ApiVersionsResponse = read(0, &passed(&rules, &asked, &answer(0, &body)));
    assert_eq!(
        (told.error_code, told.api_keys),
        (35, vec![offered(0, 3, 9)])
    );
    // And who asks for a version that was not offered is not served.
    let asked = request(Key::PRODUCE, 10, &ProduceRequest::default());
    let broken = session(&rules)
        .feed(Stream::Upstream, &asked)
        .expect_err("not offered");
    assert_eq!(
        broken.to_string(),
        "Produce version 10, which was not offered"
    );
}

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
