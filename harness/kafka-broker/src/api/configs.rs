//! Settings: DescribeConfigs, AlterConfigs, IncrementalAlterConfigs. A topic's can be changed, the broker's only read.

use super::{Call, text};
use crate::cluster::{Models, NODE_ID, now_ms};
use crate::config::BrokerConfig;
use crate::log::{SettingError, SettingKind, SettingSource, TopicSettings};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, alter_configs_response,
    incremental_alter_configs_request, incremental_alter_configs_response,
};
use std::time::Duration;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// A refusal with its reason in words.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) error: ResponseError,
    pub(super) reason: String,
}

impl Refused {
    fn new(error: ResponseError, reason: impl Into<String>) -> Self {
        Self {
            error,
            reason: reason.into(),
        }
    }
}

impl From<ResponseError> for Refused {
    fn from(error: ResponseError) -> Self {
        Self::new(error, error.to_string())
    }
}

impl From<SettingError> for Refused {
    fn from(error: SettingError) -> Self {
        Self::new(ResponseError::InvalidConfig, error.to_string())
    }
}

/// One setting as it is described.
struct Described {
    name: &'static str,
    value: String,
    source: SettingSource,
    kind: SettingKind,
    read_only: bool,
}

pub(super) fn describe_configs(
    call: &mut Call<'_>,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let models = call.cluster.models();
    let results = request.resources.iter().map(|resource| {
        let answer = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match describe(&models, &call.cluster.config, resource) {
            Err(refused) => answer
                .with_error_code(refused.error.code())
                .with_error_message(Some(text(&refused.reason))),
            Ok(settings) => {
                let wanted = |setting: &Described| {
                    let keys = resource.configuration_keys.as_ref();
                    keys.is_none_or(|keys| keys.iter().any(|key| key.as_str() == setting.name))
                };
                let settings = settings.into_iter().filter(wanted);
                answer.with_configs(
                    settings
                        .map(|setting| encode(call.version, setting))
                        .collect(),
                )
            }
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn encode(version: i16, setting: Described) -> DescribeConfigsResourceResult {
    let answer = DescribeConfigsResourceResult::default()
        .with_name(text(setting.name))
        .with_value(Some(text(&setting.value)))
        .with_read_only(setting.read_only)
        .with_config_source(setting.source as i8);
    if version >= 3 {
        answer.with_config_type(setting.kind as i8)
    } else {
        answer
    }
}

fn describe(
    models: &Models,
    config: &BrokerConfig,
    resource: &DescribeConfigsResource,
) -> Result<Vec<Described>, Refused> {
    let name = resource.resource_name.as_str();
    match resource.resource_type {
        TOPIC => {
            let topic = models.topics.get(name);
            let topic = topic.ok_or(ResponseError::UnknownTopicOrPartition)?;
            let values = topic.settings.values();
            let described = values.map(|(setting, value, source)| Described {
                name: setting.name,
                value,
                source,
                kind: setting.kind,
                read_only: false,
            });
            Ok(described.collect())
        }
        BROKER if name == NODE_ID.to_string() => Ok(broker_settings(config)),
        BROKER => Err(Refused::new(
            ResponseError::InvalidRequest,
            format!("there is no broker {name:?}, only {NODE_ID}"),
        )),
        other => Err(unknown_resource(other)),
    }
}

fn unknown_resource(kind: i8) -> Refused {
    Refused::new(
        ResponseError::InvalidRequest,
        format!("resource type {kind} is neither a topic (2) nor a broker (4)"),
    )
}

/// The broker's configuration under Kafka's names.
fn broker_settings(config: &BrokerConfig) -> Vec<Described> {
    let milliseconds = |time: Duration| time.as_millis().to_string();
    let bytes = config.retention_bytes;
    [
        (
            "auto.create.topics.enable",
            config.auto_create_topics.to_string(),
            SettingKind::Boolean,
        ),
        (
            "connections.max.idle.ms",
            milliseconds(config.max_idle),
            SettingKind::Long,
        ),
        (
            "fetch.max.bytes",
            config.max_fetch_bytes.to_string(),
            SettingKind::Int,
        ),
        (
            "group.initial.rebalance.delay.ms",
            milliseconds(config.initial_rebalance_delay),
            SettingKind::Int,
        ),
        (
            "group.max.session.timeout.ms",
            milliseconds(config.max_session_timeout),
            SettingKind::Int,
        ),
        (
            "group.max.size",
            config.max_group_members.to_string(),
            SettingKind::Int,
        ),
        (
            "group.min.session.timeout.ms",
            milliseconds(config.min_session_timeout),
            SettingKind::Int,
        ),
        (
            "log.retention.bytes",
            bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string()),
            SettingKind::Long,
        ),
        (
            "log.retention.ms",
            config
                .retention
                .map_or_else(|| "-1".to_owned(), milliseconds),
            SettingKind::Long,
        ),
        (
            "message.max.bytes",
            config.max_message_bytes.to_string(),
            SettingKind::Int,
        ),
        (
            "num.partitions",
            config.default_partitions.to_string(),
            SettingKind::Int,
        ),
        (
            "transaction.max.timeout.ms",
            milliseconds(config.max_transaction_timeout),
            SettingKind::Int,
        ),
    ]
    .into_iter()
    .map(|(name, value, kind)| Described {
        name,
        value,
        source: SettingSource::Broker,
        kind,
        read_only: true,
    })
    .collect()
}

/// The settings that a request wants a topic to have.
fn alter(
    models: &mut Models,
    (kind, name): (i8, &str),
    validate_only: bool,
    change: impl FnOnce(&mut TopicSettings) -> Result<(), Refused>,
) -> Result<(), Refused> {
    match kind {
        TOPIC => {}
        BROKER => {
            return Err(Refused::new(
                ResponseError::InvalidRequest,
                "the settings of this broker are fixed when it starts",
            ));
        }
        other => return Err(unknown_resource(other)),
    }
    let topic = models.topics.get(name);
    let topic = topic.ok_or(ResponseError::UnknownTopicOrPartition)?;
    let mut settings = topic.settings.clone();
    change(&mut settings)?;
    if !validate_only {
        models.topics.change_settings(name, settings, now_ms())?;
    }
    Ok(())
}

/// AlterConfigs replaces all values that were set on a topic.
pub(super) fn alter_configs(
    call: &mut Call<'_>,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let responses = call.change(|models| {
        let responses = request.resources.iter().map(|resource| {
            let target = (resource.resource_type, resource.resource_name.as_str());
            let altered = alter(models, target, request.validate_only, |settings| {
                settings.unset_all();
                for setting in &resource.configs {
                    let value = setting.value.as_ref();
                    let value = value.ok_or_else(|| null_value(&setting.name))?;
                    settings.set(&setting.name, value)?;
                }
                Ok(())
            });
            let answer = alter_configs_response::AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            match altered {
                Ok(()) => answer,
                Err(refused) => answer
                    .with_error_code(refused.error.code())
                    .with_error_message(Some(text(&refused.reason))),
            }
        });
        responses.collect()
    });
    AlterConfigsResponse::default().with_responses(responses)
}

fn null_value(name: &str) -> Refused {
    Refused::new(
        ResponseError::InvalidRequest,
        format!("null value not supported for {name}"),
    )
}

/// IncrementalAlterConfigs changes single values.
pub(super) fn incremental_alter_configs(
    call: &mut Call<'_>,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let responses = call.change(|models| {
        let responses = request.resources.iter().map(|resource| {
            let target = (resource.resource_type, resource.resource_name.as_str());
            let altered = alter(models, target, request.validate_only, |settings| {
                let mut changes = resource.configs.iter();
                changes.try_for_each(|change| apply(settings, change))
            });
            let answer =
                incremental_alter_configs_response::AlterConfigsResourceResponse::default()
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(resource.resource_name.clone());
            match altered {
                Ok(()) => answer,
                Err(refused) => answer
                    .with_error_code(refused.error.code())
                    .with_error_message(Some(text(&refused.reason))),
            }
        });
        responses.collect()
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}

fn apply(
    settings: &mut TopicSettings,
    change: &incremental_alter_configs_request::AlterableConfig,
) -> Result<(), Refused> {
    let name = change.name.as_str();
    if change.config_operation == DELETE {
        return Ok(settings.unset(name)?);
    }
    let value = change.value.as_ref().ok_or_else(|| null_value(name))?;
    match change.config_operation {
        SET => settings.set(name, value)?,
        APPEND => settings.change_list(name, value, false)?,
        SUBTRACT => settings.change_list(name, value, true)?,
        other => {
            return Err(Refused::new(
                ResponseError::InvalidRequest,
                format!("unknown operation {other} on {name}"),
            ));
        }
    }
    Ok(())
}
