//! Topics and their settings: CreateTopics, DeleteTopics, CreatePartitions, DescribeConfigs.

use super::{Call, code, text};
use crate::cluster::Models;
use crate::config::BrokerConfig;
use crate::log::{Partition, Topic};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
};

const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
const RETENTION_BYTES: &str = "retention.bytes";
const TOPIC_RESOURCE: i8 = 2;
const SOURCE_TOPIC: i8 = 1;
const SOURCE_DEFAULT: i8 = 5;
const TYPE_INT: i8 = 3;
const TYPE_LONG: i8 = 5;

/// The settings of a topic that is to be created.
#[derive(Clone, Copy, Debug)]
struct Settings {
    max_message_bytes: usize,
    retention_bytes: Option<usize>,
}

pub(super) fn create_topics(
    call: &mut Call<'_>,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let config = &call.cluster.config;
    let results = call.cluster.change(|models| {
        let result = |wanted: &CreatableTopic| {
            let partitions = match wanted.num_partitions {
                -1 if wanted.assignments.is_empty() => config.default_partitions,
                -1 => i32::try_from(wanted.assignments.len()).unwrap_or(i32::MAX),
                number => number,
            };
            let created = create(models, config, wanted, partitions, request.validate_only);
            let answer = CreatableTopicResult::default()
                .with_name(wanted.name.clone())
                .with_error_code(code(&created))
                .with_error_message(created.as_ref().err().map(|error| text(&error.to_string())));
            if call.version < 5 || created.is_err() {
                return answer;
            }
            answer
                .with_num_partitions(partitions)
                .with_replication_factor(1)
        };
        request.topics.iter().map(result).collect()
    });
    CreateTopicsResponse::default().with_topics(results)
}

fn create(
    models: &mut Models,
    config: &BrokerConfig,
    wanted: &CreatableTopic,
    partitions: i32,
    validate_only: bool,
) -> Result<(), ResponseError> {
    let settings = read_settings(wanted, config)?;
    if !matches!(wanted.replication_factor, -1 | 1) {
        return Err(ResponseError::InvalidReplicationFactor);
    }
    if validate_only {
        return models.topics.check_new(&wanted.name, partitions, config);
    }
    let topic = models.topics.create(&wanted.name, partitions, config)?;
    topic.max_message_bytes = settings.max_message_bytes;
    topic.retention_bytes = settings.retention_bytes;
    Ok(())
}

/// Reads the settings this broker acts on. Others, such as `cleanup.policy`, are accepted and have no effect.
fn read_settings(
    wanted: &CreatableTopic,
    config: &BrokerConfig,
) -> Result<Settings, ResponseError> {
    let mut settings = Settings {
        max_message_bytes: config.max_message_bytes,
        retention_bytes: config.retention_bytes,
    };
    for setting in &wanted.configs {
        let value = setting.value.as_ref().map_or("", |value| value.as_str());
        let number = || value.parse().map_err(|_| ResponseError::InvalidConfig);
        match setting.name.as_str() {
            MAX_MESSAGE_BYTES => settings.max_message_bytes = number()?,
            RETENTION_BYTES if value == "-1" => settings.retention_bytes = None,
            RETENTION_BYTES => settings.retention_bytes = Some(number()?),
            _ => {}
        }
    }
    Ok(settings)
}

pub(super) fn delete_topics(
    call: &mut Call<'_>,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let responses = call.cluster.change(|models| {
        let delete = |name: &kafka_protocol::messages::TopicName| {
            let deleted = models.delete_topic(name);
            DeletableTopicResult::default()
                .with_name(Some(name.clone()))
                .with_error_code(code(&deleted))
        };
        request.topic_names.iter().map(delete).collect()
    });
    DeleteTopicsResponse::default().with_responses(responses)
}

pub(super) fn create_partitions(
    call: &mut Call<'_>,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let most = call.cluster.config.max_partitions;
    let results = call.cluster.change(|models| {
        let grow = |wanted: &CreatePartitionsTopic| {
            let grown = grow(models, wanted, most, request.validate_only);
            CreatePartitionsTopicResult::default()
                .with_name(wanted.name.clone())
                .with_error_code(code(&grown))
        };
        request.topics.iter().map(grow).collect()
    });
    CreatePartitionsResponse::default().with_results(results)
}

fn grow(
    models: &mut Models,
    wanted: &CreatePartitionsTopic,
    most: i32,
    validate_only: bool,
) -> Result<(), ResponseError> {
    let topic = models
        .topics
        .get_mut(&wanted.name)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    let count = usize::try_from(wanted.count).map_err(|_| ResponseError::InvalidPartitions)?;
    if count <= topic.partitions.len() || wanted.count > most {
        return Err(ResponseError::InvalidPartitions);
    }
    if !validate_only {
        topic.partitions.resize_with(count, Partition::default);
    }
    Ok(())
}

pub(super) fn describe_configs(
    call: &mut Call<'_>,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let models = call.cluster.models();
    let config = &call.cluster.config;
    let results = request.resources.iter().map(|resource| {
        let name = resource.resource_name.as_str();
        let described = match resource.resource_type {
            TOPIC_RESOURCE => models
                .topics
                .get(name)
                .map(|topic| topic_settings(call.version, resource, topic, config))
                .ok_or(ResponseError::UnknownTopicOrPartition),
            _ => Ok(Vec::new()),
        };
        DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
            .with_error_code(code(&described))
            .with_configs(described.unwrap_or_default())
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn topic_settings(
    version: i16,
    resource: &DescribeConfigsResource,
    topic: &Topic,
    config: &BrokerConfig,
) -> Vec<DescribeConfigsResourceResult> {
    let retention = topic
        .retention_bytes
        .map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
    let known = [
        (
            MAX_MESSAGE_BYTES,
            topic.max_message_bytes.to_string(),
            topic.max_message_bytes == config.max_message_bytes,
            TYPE_INT,
        ),
        (
            RETENTION_BYTES,
            retention,
            topic.retention_bytes == config.retention_bytes,
            TYPE_LONG,
        ),
    ];
    let wanted = |name: &str| match &resource.configuration_keys {
        Some(keys) => keys.iter().any(|key| key.as_str() == name),
        None => true,
    };
    let known = known.into_iter().filter(|(name, ..)| wanted(name));
    known
        .map(|(name, value, is_default, kind)| {
            let setting = DescribeConfigsResourceResult::default()
                .with_name(text(name))
                .with_value(Some(text(&value)))
                .with_config_source(if is_default {
                    SOURCE_DEFAULT
                } else {
                    SOURCE_TOPIC
                });
            if version >= 3 {
                setting.with_config_type(kind)
            } else {
                setting
            }
        })
        .collect()
}
