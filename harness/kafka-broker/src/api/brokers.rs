//! Who the brokers are and what they speak: ApiVersions, Metadata, FindCoordinator, DescribeCluster.

use super::{Call, code, text};
use crate::cluster::{CLUSTER_ID, NODE_ID};
use crate::log::{Topic, TopicSettings};
use crate::protocol::SUPPORTED;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, BrokerId, DescribeClusterRequest,
    DescribeClusterResponse, FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest,
    MetadataResponse, TopicName,
};

pub(super) fn api_versions(
    _call: &mut Call<'_>,
    _request: ApiVersionsRequest,
) -> ApiVersionsResponse {
    let of = |&(api, low, high): &(kafka_protocol::messages::ApiKey, i16, i16)| {
        ApiVersion::default()
            .with_api_key(api as i16)
            .with_min_version(low)
            .with_max_version(high)
    };
    ApiVersionsResponse::default().with_api_keys(SUPPORTED.iter().map(of).collect())
}

/// The answer, in version 0, to a version of ApiVersions that is not known here.
pub(super) fn api_versions_unsupported(call: &mut Call<'_>) -> ApiVersionsResponse {
    api_versions(call, ApiVersionsRequest::default())
        .with_error_code(ResponseError::UnsupportedVersion.code())
}

pub(super) fn metadata(call: &mut Call<'_>, request: MetadataRequest) -> MetadataResponse {
    let advertised = call.listener.advertised();
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(NODE_ID))
        .with_host(text(&advertised.host))
        .with_port(i32::from(advertised.port));
    let topics = match topic_names(call, &request) {
        None => all_topics(call),
        Some(names) => names
            .into_iter()
            .map(|name| named_topic(call, &request, name))
            .collect(),
    };
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(text(CLUSTER_ID)))
        .with_controller_id(BrokerId(NODE_ID))
        .with_topics(topics)
}

/// The topics asked for, by name; `None` for all. A topic named by an unknown id has no name.
fn topic_names(call: &Call<'_>, request: &MetadataRequest) -> Option<Vec<Option<String>>> {
    let wanted = request.topics.as_ref()?;
    if wanted.is_empty() && call.version == 0 {
        return None;
    }
    let models = call.cluster.models();
    let name = |topic: &kafka_protocol::messages::metadata_request::MetadataRequestTopic| {
        match &topic.name {
            Some(name) => Some(name.to_string()),
            None => models.topics.name_of(topic.topic_id).map(str::to_owned),
        }
    };
    Some(wanted.iter().map(name).collect())
}

fn all_topics(call: &Call<'_>) -> Vec<MetadataResponseTopic> {
    let models = call.cluster.models();
    models
        .topics
        .iter()
        .map(|(name, topic)| describe(call, name, topic))
        .collect()
}

fn named_topic(
    call: &Call<'_>,
    request: &MetadataRequest,
    name: Option<String>,
) -> MetadataResponseTopic {
    let Some(name) = name else {
        return MetadataResponseTopic::default()
            .with_error_code(ResponseError::UnknownTopicId.code());
    };
    let config = &call.cluster.config;
    let known = call.cluster.models().topics.get(&name).is_some();
    let creates =
        config.auto_create_topics && (call.version < 4 || request.allow_auto_topic_creation);
    if !known && creates {
        let created = call.change(|models| {
            let (partitions, settings) = (config.default_partitions, TopicSettings::new(config));
            models.topics.create(&name, partitions, settings, config)
        });
        // Somebody else may have created it meanwhile, which is as good.
        if let Err(error) = created.or_else(already_there) {
            return MetadataResponseTopic::default()
                .with_name(Some(TopicName(text(&name))))
                .with_error_code(error.code());
        }
    }
    match call.cluster.models().topics.get(&name) {
        Some(topic) => describe(call, &name, topic),
        None => MetadataResponseTopic::default()
            .with_name(Some(TopicName(text(&name))))
            .with_error_code(ResponseError::UnknownTopicOrPartition.code()),
    }
}

fn already_there(error: ResponseError) -> Result<(), ResponseError> {
    match error {
        ResponseError::TopicAlreadyExists => Ok(()),
        other => Err(other),
    }
}

fn describe(call: &Call<'_>, name: &str, topic: &Topic) -> MetadataResponseTopic {
    let node = BrokerId(NODE_ID);
    let partition = |index: usize| {
        MetadataResponsePartition::default()
            .with_partition_index(index as i32)
            .with_leader_id(node)
            .with_leader_epoch(0)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node])
    };
    MetadataResponseTopic::default()
        .with_error_code(code(&call.spare()))
        .with_name(Some(TopicName(text(name))))
        .with_topic_id(topic.id)
        .with_partitions((0..topic.partitions.len()).map(partition).collect())
}

/// The types of keys that have a coordinator.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(super) fn find_coordinator(
    call: &mut Call<'_>,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let advertised = call.listener.advertised();
    let (host, port) = (text(&advertised.host), i32::from(advertised.port));
    let known = match request.key_type {
        GROUP | TRANSACTION => call.spare(),
        _ => Err(ResponseError::InvalidRequest),
    };
    let error = code(&known);
    if call.version <= 3 {
        return FindCoordinatorResponse::default()
            .with_error_code(error)
            .with_node_id(BrokerId(NODE_ID))
            .with_host(host)
            .with_port(port);
    }
    let coordinator = |key| {
        Coordinator::default()
            .with_key(key)
            .with_error_code(error)
            .with_node_id(BrokerId(NODE_ID))
            .with_host(host.clone())
            .with_port(port)
    };
    let keys = request.coordinator_keys.into_iter();
    FindCoordinatorResponse::default().with_coordinators(keys.map(coordinator).collect())
}

/// The endpoint type of brokers, as against that of controllers.
const BROKERS: i8 = 1;

pub(super) fn describe_cluster(
    call: &mut Call<'_>,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    let advertised = call.listener.advertised();
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(NODE_ID))
        .with_host(text(&advertised.host))
        .with_port(i32::from(advertised.port));
    if call.version >= 1 && request.endpoint_type != BROKERS {
        return DescribeClusterResponse::default()
            .with_error_code(ResponseError::UnsupportedEndpointType.code())
            .with_error_message(Some(text("this node answers for brokers only")))
            .with_endpoint_type(BROKERS);
    }
    DescribeClusterResponse::default()
        .with_endpoint_type(BROKERS)
        .with_cluster_id(text(CLUSTER_ID))
        .with_controller_id(BrokerId(NODE_ID))
        .with_brokers(vec![broker])
}
