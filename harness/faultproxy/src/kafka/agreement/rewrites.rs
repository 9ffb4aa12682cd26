//! Answers in which something is replaced are otherwise what they were, in every version.

use std::sync::Arc;

use kafka_protocol::messages::*;

use super::super::api_key::ApiKey as Key;
use super::super::rule::{KafkaAction, KafkaRule};
use super::super::rule_set::Rules;
use super::{answer, data, read, request, session, text, topic_name, uuid_of_topic as id};
use crate::toxic::Stream;

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
