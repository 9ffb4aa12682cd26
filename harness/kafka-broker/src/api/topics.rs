//! Topics: CreateTopics, DeleteTopics, CreatePartitions.

use super::configs::Refused;
use super::{Call, code, text};
use crate::cluster::Models;
use crate::config::BrokerConfig;
use crate::log::TopicSettings;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse,
};

pub(super) fn create_topics(
    call: &mut Call<'_>,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let config = &call.cluster.config;
    let version = call.version;
    let results = call.change(|models| {
        let result = |wanted: &CreatableTopic| {
            let partitions = match wanted.num_partitions {
                -1 if wanted.assignments.is_empty() => config.default_partitions,
                -1 => i32::try_from(wanted.assignments.len()).unwrap_or(i32::MAX),
                number => number,
            };
            let created = create(models, config, wanted, partitions, request.validate_only);
            let answer = CreatableTopicResult::default().with_name(wanted.name.clone());
            match created {
                Err(refused) => answer
                    .with_error_code(refused.error.code())
                    .with_error_message(Some(text(&refused.reason))),
                Ok(()) if version < 5 => answer,
                Ok(()) => answer
                    .with_num_partitions(partitions)
                    .with_replication_factor(1),
            }
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
) -> Result<(), Refused> {
    if !matches!(wanted.replication_factor, -1 | 1) {
        return Err(ResponseError::InvalidReplicationFactor.into());
    }
    let mut settings = TopicSettings::new(config);
    for setting in &wanted.configs {
        if let Some(value) = &setting.value {
            settings.set(&setting.name, value)?;
        }
    }
    let topics = &mut models.topics;
    if validate_only {
        topics.check_new(&wanted.name, partitions, config)?;
    } else {
        topics.create(&wanted.name, partitions, settings, config)?;
    }
    Ok(())
}

pub(super) fn delete_topics(
    call: &mut Call<'_>,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let responses = call.change(|models| {
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
    let config = &call.cluster.config;
    let results = call.change(|models| {
        let grow = |wanted: &CreatePartitionsTopic| {
            let topics = &mut models.topics;
            let grown = topics.grow(&wanted.name, wanted.count, request.validate_only, config);
            CreatePartitionsTopicResult::default()
                .with_name(wanted.name.clone())
                .with_error_code(code(&grown))
        };
        request.topics.iter().map(grow).collect()
    });
    CreatePartitionsResponse::default().with_results(results)
}
