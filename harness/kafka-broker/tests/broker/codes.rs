//! Error codes that ordinary clients do not provoke, each as Apache Kafka 4.1.1 answers it.

use crate::clients::broker;
use crate::wire::Wire;
use bytes::Bytes;
use kafka_broker::{ApiKey, BrokerConfig};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

const UNKNOWN_MEMBER_ID: i16 = 25;
const ILLEGAL_GENERATION: i16 = 22;
const UNSUPPORTED_VERSION: i16 = 35;
const INVALID_REQUEST: i16 = 42;
const UNKNOWN_LEADER_EPOCH: i16 = 75;
const INVALID_RECORD: i16 = 87;

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

/// Joins a group of its own and returns its member id and generation.
async fn join(wire: &mut Wire) -> (StrBytes, i32) {
    let protocol = join_group_request::JoinGroupRequestProtocol::default().with_name(text("range"));
    let request = JoinGroupRequest::default()
        .with_group_id(text("workers").into())
        .with_session_timeout_ms(6000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    let joined: JoinGroupResponse = wire
        .call(ApiKey::JoinGroup, 2, &request)
        .await
        .expect("answer");
    assert_eq!(joined.error_code, 0);
    (joined.member_id, joined.generation_id)
}

#[tokio::test]
async fn members_are_known_by_all_that_they_say_of_themselves() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let mut wire = Wire::connect(&listener).await;
    let (member, generation) = join(&mut wire).await;
    let heartbeat = HeartbeatRequest::default()
        .with_group_id(text("workers").into())
        .with_member_id(member.clone())
        .with_generation_id(generation)
        .with_group_instance_id(Some(text("nobody")));
    let answer: HeartbeatResponse = wire
        .call(ApiKey::Heartbeat, 3, &heartbeat)
        .await
        .expect("answer");
    assert_eq!(answer.error_code, UNKNOWN_MEMBER_ID);

    let partition =
        offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(0);
    let topic = offset_commit_request::OffsetCommitRequestTopic::default()
        .with_name(text("orders").into())
        .with_partitions(vec![partition]);
    for (group, member, code) in [
        ("workers", member, ILLEGAL_GENERATION),
        ("workers", StrBytes::new(), UNKNOWN_MEMBER_ID),
        ("", StrBytes::new(), 0),
    ] {
        let commit = OffsetCommitRequest::default()
            .with_group_id(text(group).into())
            .with_member_id(member)
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic.clone()]);
        let answer: OffsetCommitResponse = wire
            .call(ApiKey::OffsetCommit, 7, &commit)
            .await
            .expect("answer");
        assert_eq!(answer.topics[0].partitions[0].error_code, code, "{group:?}");
    }
}

#[tokio::test]
async fn what_the_broker_cannot_know_is_refused() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let mut wire = Wire::connect(&listener).await;
    let request = FindCoordinatorRequest::default()
        .with_key(text("workers"))
        .with_key_type(7);
    let answer: FindCoordinatorResponse = wire
        .call(ApiKey::FindCoordinator, 2, &request)
        .await
        .expect("answer");
    assert_eq!(answer.error_code, INVALID_REQUEST);

    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(text("writer").into()))
        .with_transaction_timeout_ms(1000)
        .with_producer_id(5.into())
        .with_producer_epoch(-1);
    let answer: InitProducerIdResponse = wire
        .call(ApiKey::InitProducerId, 4, &request)
        .await
        .expect("answer");
    assert_eq!(answer.error_code, INVALID_REQUEST);

    for (timestamp, epoch, code) in [
        (-1, 0, 0),
        (-1, 1, UNKNOWN_LEADER_EPOCH),
        (-3, -1, UNSUPPORTED_VERSION),
    ] {
        let partition = list_offsets_request::ListOffsetsPartition::default()
            .with_timestamp(timestamp)
            .with_current_leader_epoch(epoch);
        let topic = list_offsets_request::ListOffsetsTopic::default()
            .with_name(text("orders").into())
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_topics(vec![topic]);
        let answer: ListOffsetsResponse = wire
            .call(ApiKey::ListOffsets, 6, &request)
            .await
            .expect("answer");
        let found = answer.topics[0].partitions[0].error_code;
        assert_eq!(found, code, "time {timestamp}, epoch {epoch}");
    }

    for records in [&b""[..], b"no batch", &[0; 11]] {
        let partition = produce_request::PartitionProduceData::default()
            .with_records(Some(Bytes::from_static(records)));
        let topic = produce_request::TopicProduceData::default()
            .with_name(text("orders").into())
            .with_partition_data(vec![partition]);
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_topic_data(vec![topic]);
        let answer: ProduceResponse = wire
            .call(ApiKey::Produce, 8, &request)
            .await
            .expect("answer");
        let found = answer.responses[0].partition_responses[0].error_code;
        assert_eq!(found, INVALID_RECORD, "{records:?}");
    }
}

/// A partition that was added to a transaction gets the end of it, even if nothing was written there.
#[tokio::test]
async fn an_empty_transaction_leaves_its_marker() {
    let (broker, listener) = broker(BrokerConfig::default()).await;
    broker.create_topic("orders", 1).expect("topic");
    let mut wire = Wire::connect(&listener).await;
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(text("writer").into()))
        .with_transaction_timeout_ms(10_000);
    let producer: InitProducerIdResponse = wire
        .call(ApiKey::InitProducerId, 2, &request)
        .await
        .expect("answer");
    let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
        .with_name(text("orders").into())
        .with_partitions(vec![0]);
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(text("writer").into())
        .with_v3_and_below_producer_id(producer.producer_id)
        .with_v3_and_below_producer_epoch(producer.producer_epoch)
        .with_v3_and_below_topics(vec![topic]);
    let _: AddPartitionsToTxnResponse = wire
        .call(ApiKey::AddPartitionsToTxn, 3, &request)
        .await
        .expect("answer");
    let request = EndTxnRequest::default()
        .with_transactional_id(text("writer").into())
        .with_producer_id(producer.producer_id)
        .with_producer_epoch(producer.producer_epoch)
        .with_committed(false);
    let ended: EndTxnResponse = wire
        .call(ApiKey::EndTxn, 3, &request)
        .await
        .expect("answer");
    assert_eq!(ended.error_code, 0);
    let offsets = broker.offsets("orders").expect("topic")[0];
    assert_eq!((offsets.last_stable, offsets.end), (1, 1));
    assert_eq!(broker.records("orders", 0, 0).expect("records"), []);
}
