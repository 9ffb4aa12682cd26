//! Produce.

use super::{Call, code};
use crate::cluster::Models;
use crate::config::BrokerConfig;
use crate::connection::Ended;
use crate::log::{BatchHeader, Partition};
use crate::transactions::Producer;
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

/// Where a batch was appended, and where its partition starts.
struct Placed {
    base_offset: i64,
    log_start: i64,
}

/// Appends each partition's batch; `None` if the producer wants no answer. A failure that it could not be told of ends
/// the connection, so that it looks at the metadata again.
pub(super) fn produce(
    call: &mut Call<'_>,
    request: ProduceRequest,
) -> Result<Option<ProduceResponse>, Ended> {
    let wants_answer = request.acks != 0;
    let transactional_id = request.transactional_id.map(|id| id.to_string());
    let spared = match request.acks {
        -1..=1 => call.spare(),
        _ => Err(ResponseError::InvalidRequiredAcks),
    };
    let config = &call.cluster.config;
    let append = |models: &mut Models, topic: &str, data: PartitionProduceData| {
        let records = data.records.unwrap_or_default();
        let appended = spared.and_then(|()| {
            append(
                models,
                config,
                topic,
                data.index,
                &records,
                transactional_id.as_deref(),
            )
        });
        let (base_offset, log_start) = match &appended {
            Ok(placed) => (placed.base_offset, placed.log_start),
            Err(_) => (-1, -1),
        };
        PartitionProduceResponse::default()
            .with_index(data.index)
            .with_error_code(code(&appended))
            .with_base_offset(base_offset)
            .with_log_start_offset(log_start)
    };
    let responses = call.change(|models| {
        let topic = |topic: TopicProduceData| {
            let partitions = topic.partition_data.into_iter();
            let partitions = partitions
                .map(|data| append(models, &topic.name, data))
                .collect();
            TopicProduceResponse::default()
                .with_name(topic.name.clone())
                .with_partition_responses(partitions)
        };
        request.topic_data.into_iter().map(topic).collect()
    });
    let responses: Vec<TopicProduceResponse> = responses;
    let answer = ProduceResponse::default()
        .with_responses(responses)
        .with_throttle_time_ms(call.throttle_ms());
    if wants_answer {
        return Ok(Some(answer));
    }
    let partitions = answer
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses);
    match partitions
        .map(|partition| partition.error_code)
        .find(|&code| code != 0)
    {
        Some(code) => Err(Ended::quiet(format!(
            "a record that wanted no answer was refused with error {code}"
        ))),
        None => Ok(None),
    }
}

fn append(
    models: &mut Models,
    config: &BrokerConfig,
    topic: &str,
    index: i32,
    records: &Bytes,
    transactional_id: Option<&str>,
) -> Result<Placed, ResponseError> {
    if models.topics.partition(topic, index).is_none() {
        return Err(ResponseError::UnknownTopicOrPartition);
    }
    let header = BatchHeader::parse(records)?;
    if header.is_transactional() {
        let producer = Producer {
            id: header.producer_id,
            epoch: header.producer_epoch,
        };
        let id = transactional_id.ok_or(ResponseError::InvalidTxnState)?;
        models
            .transactions
            .check_append(id, producer, (topic, index))?;
    }
    let appended = models.append((topic, index), records, &header, config)?;
    let partition = models.topics.partition(topic, index);
    Ok(Placed {
        base_offset: appended.base_offset,
        log_start: partition.map_or(0, Partition::start),
    })
}
