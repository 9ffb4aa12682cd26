//! Every version of every API that the broker announces is answered, and the answer decodes in that version.

use crate::clients::broker;
use crate::wire::{Wire, frame};
use bytes::{Buf, Bytes};
use kafka_broker::{BrokerConfig, Listener};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, StrBytes};
use std::time::Duration;

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn topic() -> TopicName {
    text("orders").into()
}

fn group() -> GroupId {
    text("workers").into()
}

/// A frame of one request of this API and version, with something in every field that matters.
pub(crate) fn sample(api: ApiKey, version: i16) -> Bytes {
    match api {
        ApiKey::Produce => frame(api, version, 1, &produce()),
        ApiKey::Fetch => frame(api, version, 1, &fetch(version)),
        ApiKey::ListOffsets => frame(api, version, 1, &list_offsets()),
        ApiKey::Metadata => frame(api, version, 1, &metadata()),
        ApiKey::OffsetCommit => frame(api, version, 1, &offset_commit()),
        ApiKey::OffsetFetch => frame(api, version, 1, &offset_fetch()),
        ApiKey::FindCoordinator => frame(api, version, 1, &find_coordinator(version)),
        ApiKey::JoinGroup => frame(api, version, 1, &join_group(version)),
        ApiKey::Heartbeat => frame(
            api,
            version,
            1,
            &HeartbeatRequest::default().with_group_id(group()),
        ),
        ApiKey::LeaveGroup => frame(api, version, 1, &leave_group(version)),
        ApiKey::SyncGroup => frame(api, version, 1, &sync_group()),
        ApiKey::DescribeGroups => frame(
            api,
            version,
            1,
            &DescribeGroupsRequest::default().with_groups(vec![group()]),
        ),
        ApiKey::ListGroups => frame(api, version, 1, &ListGroupsRequest::default()),
        ApiKey::ApiVersions => frame(api, version, 1, &ApiVersionsRequest::default()),
        ApiKey::CreateTopics => frame(api, version, 1, &create_topics()),
        ApiKey::DeleteTopics => frame(
            api,
            version,
            1,
            &DeleteTopicsRequest::default().with_topic_names(vec![topic()]),
        ),
        ApiKey::InitProducerId => frame(api, version, 1, &init_producer_id()),
        ApiKey::AddPartitionsToTxn => frame(api, version, 1, &add_partitions()),
        ApiKey::AddOffsetsToTxn => frame(
            api,
            version,
            1,
            &AddOffsetsToTxnRequest::default().with_group_id(group()),
        ),
        ApiKey::EndTxn => frame(api, version, 1, &EndTxnRequest::default()),
        ApiKey::TxnOffsetCommit => frame(api, version, 1, &txn_offset_commit()),
        ApiKey::DescribeConfigs => frame(api, version, 1, &describe_configs()),
        ApiKey::CreatePartitions => frame(api, version, 1, &create_partitions()),
        ApiKey::DeleteGroups => frame(
            api,
            version,
            1,
            &DeleteGroupsRequest::default().with_groups_names(vec![group()]),
        ),
        ApiKey::DescribeCluster => frame(api, version, 1, &describe_cluster(version)),
        ApiKey::DeleteRecords => frame(api, version, 1, &delete_records()),
        ApiKey::AlterConfigs => frame(api, version, 1, &alter_configs()),
        ApiKey::IncrementalAlterConfigs => frame(api, version, 1, &incremental_alter_configs()),
        ApiKey::ConsumerGroupHeartbeat => frame(api, version, 1, &consumer_group_heartbeat()),
        other => panic!("no sample of {other:?}"),
    }
}

/// Decodes the body of an answer; the number of bytes left over.
fn decode(api: ApiKey, version: i16, body: &mut Bytes) -> Result<usize, String> {
    macro_rules! decode {
        ($($api:ident => $answer:ty),* $(,)?) => {
            match api {
                $(ApiKey::$api => <$answer>::decode(body, version).map(|_| ()).map_err(|error| error.to_string())?,)*
                other => return Err(format!("no answer of {other:?}")),
            }
        };
    }
    decode!(
        Produce => ProduceResponse, Fetch => FetchResponse, ListOffsets => ListOffsetsResponse,
        Metadata => MetadataResponse, OffsetCommit => OffsetCommitResponse, OffsetFetch => OffsetFetchResponse,
        FindCoordinator => FindCoordinatorResponse, JoinGroup => JoinGroupResponse, Heartbeat => HeartbeatResponse,
        LeaveGroup => LeaveGroupResponse, SyncGroup => SyncGroupResponse, DescribeGroups => DescribeGroupsResponse,
        ListGroups => ListGroupsResponse, ApiVersions => ApiVersionsResponse, CreateTopics => CreateTopicsResponse,
        DeleteTopics => DeleteTopicsResponse, InitProducerId => InitProducerIdResponse,
        AddPartitionsToTxn => AddPartitionsToTxnResponse, AddOffsetsToTxn => AddOffsetsToTxnResponse,
        EndTxn => EndTxnResponse, TxnOffsetCommit => TxnOffsetCommitResponse,
        DescribeConfigs => DescribeConfigsResponse, CreatePartitions => CreatePartitionsResponse,
        DeleteGroups => DeleteGroupsResponse, DescribeCluster => DescribeClusterResponse,
        DeleteRecords => DeleteRecordsResponse, AlterConfigs => AlterConfigsResponse,
        IncrementalAlterConfigs => IncrementalAlterConfigsResponse,
        ConsumerGroupHeartbeat => ConsumerGroupHeartbeatResponse,
    );
    Ok(body.remaining())
}

/// The announced APIs with their version ranges.
pub(crate) async fn announced(listener: &Listener) -> Vec<(ApiKey, i16, i16)> {
    let mut wire = Wire::connect(listener).await;
    let request = ApiVersionsRequest::default();
    let answer: ApiVersionsResponse = wire
        .call(ApiKey::ApiVersions, 0, &request)
        .await
        .expect("answer");
    let of = |version: api_versions_response::ApiVersion| {
        let api = ApiKey::try_from(version.api_key).expect("known API");
        (api, version.min_version, version.max_version)
    };
    answer.api_keys.into_iter().map(of).collect()
}

#[tokio::test]
async fn every_announced_version_is_answered() {
    let config = BrokerConfig {
        initial_rebalance_delay: Duration::ZERO,
        ..BrokerConfig::default()
    };
    let (broker, listener) = broker(config).await;
    let announced = announced(&listener).await;
    assert_eq!(announced.len(), 29);
    for (api, low, high) in announced {
        for version in low..=high {
            // Some samples delete it.
            let _ = broker.create_topic("orders", 2);
            let _ = broker.append("orders", 0, Some(b"key"), Some(b"value"), &[]);
            let mut wire = Wire::connect(&listener).await;
            wire.send(&sample(api, version)).await.expect("sent");
            let mut answer = wire
                .answer()
                .await
                .unwrap_or_else(|error| panic!("{api:?} {version}: {error}"));
            let header = ResponseHeader::decode(&mut answer, api.response_header_version(version))
                .expect("header");
            assert_eq!(header.correlation_id, 1);
            assert_eq!(
                decode(api, version, &mut answer),
                Ok(0),
                "{api:?} {version}"
            );
        }
    }
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let (_broker, listener) = broker(BrokerConfig::default()).await;
    let mut wire = Wire::connect(&listener).await;
    wire.send(&[0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 1, 0xff, 0xff])
        .await
        .expect("sent");
    let mut answer = wire.answer().await.expect("answer");
    answer.advance(4);
    let answer = ApiVersionsResponse::decode(&mut answer, 0).expect("version 0");
    assert_eq!((answer.error_code, answer.api_keys.len()), (35, 29));
    wire.metadata().await.expect("the connection goes on");
}

fn produce() -> ProduceRequest {
    let partition = produce_request::PartitionProduceData::default()
        .with_records(Some(Bytes::from_static(b"no batch")));
    let data = produce_request::TopicProduceData::default()
        .with_name(topic())
        .with_partition_data(vec![partition]);
    ProduceRequest::default()
        .with_acks(-1)
        .with_topic_data(vec![data])
}

fn fetch(version: i16) -> FetchRequest {
    let partition = |index| {
        fetch_request::FetchPartition::default()
            .with_partition(index)
            .with_partition_max_bytes(1000)
    };
    let topic = fetch_request::FetchTopic::default()
        .with_topic(topic())
        .with_partitions(vec![partition(0), partition(9)]);
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(1000)
        .with_isolation_level((version % 2) as i8)
        .with_topics(vec![topic])
}

fn list_offsets() -> ListOffsetsRequest {
    let partition = |index, time| {
        list_offsets_request::ListOffsetsPartition::default()
            .with_partition_index(index)
            .with_timestamp(time)
    };
    let partitions = vec![
        partition(0, -1),
        partition(0, -2),
        partition(0, 5),
        partition(9, -1),
    ];
    let topic = list_offsets_request::ListOffsetsTopic::default()
        .with_name(topic())
        .with_partitions(partitions);
    ListOffsetsRequest::default().with_topics(vec![topic])
}

fn metadata() -> MetadataRequest {
    let topic = metadata_request::MetadataRequestTopic::default().with_name(Some(topic()));
    MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(true)
}

fn offset_commit() -> OffsetCommitRequest {
    let partition =
        offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(1);
    let topic = offset_commit_request::OffsetCommitRequestTopic::default()
        .with_name(topic())
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(group())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic])
}

fn offset_fetch() -> OffsetFetchRequest {
    let topic = offset_fetch_request::OffsetFetchRequestTopic::default()
        .with_name(topic())
        .with_partition_indexes(vec![0, 1]);
    OffsetFetchRequest::default()
        .with_group_id(group())
        .with_topics(Some(vec![topic]))
}

fn find_coordinator(version: i16) -> FindCoordinatorRequest {
    let request = FindCoordinatorRequest::default();
    if version >= 4 {
        request.with_coordinator_keys(vec![text("workers")])
    } else {
        request.with_key(text("workers"))
    }
}

/// A group of its own for each version, so that none waits for the members of another.
fn join_group(version: i16) -> JoinGroupRequest {
    let protocol = join_group_request::JoinGroupRequestProtocol::default().with_name(text("range"));
    JoinGroupRequest::default()
        .with_group_id(StrBytes::from_string(format!("joiners-{version}")).into())
        .with_session_timeout_ms(6000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

fn leave_group(version: i16) -> LeaveGroupRequest {
    let request = LeaveGroupRequest::default().with_group_id(group());
    if version <= 2 {
        return request.with_member_id(text("nobody"));
    }
    request.with_members(vec![
        leave_group_request::MemberIdentity::default().with_member_id(text("nobody")),
    ])
}

fn sync_group() -> SyncGroupRequest {
    let assignment = sync_group_request::SyncGroupRequestAssignment::default()
        .with_member_id(text("nobody"))
        .with_assignment(Bytes::from_static(b"\0\0"));
    SyncGroupRequest::default()
        .with_group_id(group())
        .with_assignments(vec![assignment])
}

fn create_topics() -> CreateTopicsRequest {
    let config = create_topics_request::CreatableTopicConfig::default()
        .with_name(text("cleanup.policy"))
        .with_value(Some(text("compact")));
    let topic = create_topics_request::CreatableTopic::default()
        .with_name(text("created").into())
        .with_num_partitions(1)
        .with_replication_factor(1)
        .with_configs(vec![config]);
    CreateTopicsRequest::default().with_topics(vec![topic])
}

fn init_producer_id() -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(Some(text("writer").into()))
        .with_transaction_timeout_ms(1000)
}

fn add_partitions() -> AddPartitionsToTxnRequest {
    let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
        .with_name(topic())
        .with_partitions(vec![0, 9]);
    AddPartitionsToTxnRequest::default().with_v3_and_below_topics(vec![topic])
}

fn txn_offset_commit() -> TxnOffsetCommitRequest {
    let partition = txn_offset_commit_request::TxnOffsetCommitRequestPartition::default();
    let topic = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
        .with_name(topic())
        .with_partitions(vec![partition]);
    TxnOffsetCommitRequest::default()
        .with_group_id(group())
        .with_topics(vec![topic])
}

fn describe_configs() -> DescribeConfigsRequest {
    let resource = |name| {
        describe_configs_request::DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(name))
    };
    DescribeConfigsRequest::default().with_resources(vec![resource("orders"), resource("nothing")])
}

fn create_partitions() -> CreatePartitionsRequest {
    let topic = create_partitions_request::CreatePartitionsTopic::default()
        .with_name(topic())
        .with_count(3);
    CreatePartitionsRequest::default().with_topics(vec![topic])
}

fn describe_cluster(version: i16) -> DescribeClusterRequest {
    let request = DescribeClusterRequest::default();
    if version >= 1 {
        request.with_endpoint_type(1)
    } else {
        request
    }
}

fn delete_records() -> DeleteRecordsRequest {
    let partition = |index, offset| {
        delete_records_request::DeleteRecordsPartition::default()
            .with_partition_index(index)
            .with_offset(offset)
    };
    let topic = delete_records_request::DeleteRecordsTopic::default()
        .with_name(topic())
        .with_partitions(vec![partition(0, -1), partition(0, 1000), partition(9, 0)]);
    DeleteRecordsRequest::default().with_topics(vec![topic])
}

fn alter_configs() -> AlterConfigsRequest {
    let setting = alter_configs_request::AlterableConfig::default()
        .with_name(text("retention.bytes"))
        .with_value(Some(text("1000000")));
    let resource = |name| {
        alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(name))
            .with_configs(vec![setting.clone()])
    };
    AlterConfigsRequest::default().with_resources(vec![resource("orders"), resource("nothing")])
}

fn incremental_alter_configs() -> IncrementalAlterConfigsRequest {
    let setting = |operation, value| {
        incremental_alter_configs_request::AlterableConfig::default()
            .with_name(text("cleanup.policy"))
            .with_config_operation(operation)
            .with_value(value)
    };
    let resource = incremental_alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("orders"))
        .with_configs(vec![setting(2, Some(text("compact"))), setting(1, None)]);
    IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
}

fn consumer_group_heartbeat() -> ConsumerGroupHeartbeatRequest {
    let partitions =
        consumer_group_heartbeat_request::TopicPartitions::default().with_partitions(vec![0, 1]);
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group())
        .with_subscribed_topic_names(Some(vec![topic()]))
        .with_topic_partitions(Some(vec![partitions]))
}
