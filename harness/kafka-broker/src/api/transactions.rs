//! Producers and transactions: InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn.

use super::{Call, code};
use crate::cluster::Models;
use crate::groups::{Committed, Committer};
use crate::transactions::{PendingOffset, Producer};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse, InitProducerIdRequest,
    InitProducerIdResponse, ProducerId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use std::time::{Duration, Instant};

/// First versions that know the error PRODUCER_FENCED; older ones are told INVALID_PRODUCER_EPOCH.
const INIT_KNOWS_FENCED: i16 = 4;
const OTHERS_KNOW_FENCED: i16 = 2;

fn fencing_code<T>(result: &Result<T, ResponseError>, known: bool) -> i16 {
    match result {
        Err(ResponseError::ProducerFenced) if !known => ResponseError::InvalidProducerEpoch.code(),
        other => code(other),
    }
}

pub(super) fn init_producer_id(
    call: &mut Call<'_>,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let timeout = Duration::from_millis(u64::try_from(request.transaction_timeout_ms).unwrap_or(0));
    let expected = (call.version >= 3 && request.producer_id.0 >= 0).then_some(Producer {
        id: request.producer_id.0,
        epoch: request.producer_epoch,
    });
    // A producer knows both its id and its epoch, or neither.
    let half_known =
        call.version >= 3 && (request.producer_id.0 < 0) != (request.producer_epoch < 0);
    let longest = call.cluster.config.max_transaction_timeout;
    let most_ids = call.cluster.config.max_transactional_ids;
    let producer = call.spare().and_then(|()| match &request.transactional_id {
        None => Ok(call.change(|models| models.transactions.new_producer())),
        Some(id) if id.is_empty() => Err(ResponseError::InvalidRequest),
        Some(_) if half_known => Err(ResponseError::InvalidRequest),
        Some(_) if timeout.is_zero() || timeout > longest => {
            Err(ResponseError::InvalidTransactionTimeout)
        }
        Some(id) => {
            call.change(|models| models.init_transactional(id, timeout, expected, most_ids))
        }
    });
    let answer = InitProducerIdResponse::default()
        .with_error_code(fencing_code(&producer, call.version >= INIT_KNOWS_FENCED));
    match producer {
        Ok(producer) => answer
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch),
        Err(_) => answer
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    }
}

pub(super) fn add_partitions(
    call: &mut Call<'_>,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    let id = request.v3_and_below_transactional_id.as_str();
    let producer = Producer {
        id: request.v3_and_below_producer_id.0,
        epoch: request.v3_and_below_producer_epoch,
    };
    let spared = call.spare();
    let fenced_known = call.version >= OTHERS_KNOW_FENCED;
    let results = call.change(|models| {
        let missing = |topic: &str, index: i32| models.topics.partition(topic, index).is_none();
        let any_missing = request.v3_and_below_topics.iter().any(|topic| {
            topic
                .partitions
                .iter()
                .any(|&index| missing(&topic.name, index))
        });
        let topics = request.v3_and_below_topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|&index| {
                let unknown = models.topics.partition(&topic.name, index).is_none();
                let added = match (spared, any_missing) {
                    (Err(error), _) => Err(error),
                    (Ok(()), true) if unknown => Err(ResponseError::UnknownTopicOrPartition),
                    (Ok(()), true) => Err(ResponseError::OperationNotAttempted),
                    (Ok(()), false) => {
                        let partition = (topic.name.to_string(), index);
                        models
                            .transactions
                            .add_partition(id, producer, partition, Instant::now())
                    }
                };
                AddPartitionsToTxnPartitionResult::default()
                    .with_partition_index(index)
                    .with_partition_error_code(fencing_code(&added, fenced_known))
            });
            AddPartitionsToTxnTopicResult::default()
                .with_results_by_partition(partitions.collect())
                .with_name(topic.name.clone())
        });
        topics.collect()
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results)
}

pub(super) fn add_offsets(
    call: &mut Call<'_>,
    request: AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let producer = Producer {
        id: request.producer_id.0,
        epoch: request.producer_epoch,
    };
    let added = call.spare().and_then(|()| {
        call.change(|models| {
            let transactions = &mut models.transactions;
            transactions.add_group(
                &request.transactional_id,
                producer,
                &request.group_id,
                Instant::now(),
            )
        })
    });
    AddOffsetsToTxnResponse::default()
        .with_error_code(fencing_code(&added, call.version >= OTHERS_KNOW_FENCED))
}

pub(super) fn commit_offsets(
    call: &mut Call<'_>,
    request: TxnOffsetCommitRequest,
) -> TxnOffsetCommitResponse {
    let spared = call.spare();
    let fenced_known = call.version >= OTHERS_KNOW_FENCED;
    let most_groups = call.cluster.config.max_groups;
    let topics = call.change(|models| {
        let allowed = spared
            .and_then(|()| models.groups.check_room(&request.group_id, most_groups))
            .and_then(|()| may_commit(models, &request));
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|wanted| {
                let kept = allowed.and_then(|()| keep(models, &request, &topic.name, wanted));
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(wanted.partition_index)
                    .with_error_code(fencing_code(&kept, fenced_known))
            });
            TxnOffsetCommitResponseTopic::default()
                .with_partitions(partitions.collect())
                .with_name(topic.name.clone())
        });
        topics.collect()
    });
    TxnOffsetCommitResponse::default().with_topics(topics)
}

fn producer_of(request: &TxnOffsetCommitRequest) -> Producer {
    Producer {
        id: request.producer_id.0,
        epoch: request.producer_epoch,
    }
}

fn may_commit(models: &mut Models, request: &TxnOffsetCommitRequest) -> Result<(), ResponseError> {
    models.transactions.check_group(
        &request.transactional_id,
        producer_of(request),
        &request.group_id,
    )?;
    let committer = Committer {
        member_id: &request.member_id,
        instance_id: request.group_instance_id.as_ref(),
        generation: request.generation_id,
    };
    let group = models.groups.get_or_create(&request.group_id);
    group.may_commit_in_transaction(committer, Instant::now())
}

fn keep(
    models: &mut Models,
    request: &TxnOffsetCommitRequest,
    topic: &str,
    wanted: &TxnOffsetCommitRequestPartition,
) -> Result<(), ResponseError> {
    if models
        .topics
        .partition(topic, wanted.partition_index)
        .is_none()
    {
        return Err(ResponseError::UnknownTopicOrPartition);
    }
    let offset = PendingOffset {
        group: request.group_id.to_string(),
        topic: topic.to_owned(),
        partition: wanted.partition_index,
        committed: Committed::new(wanted.committed_offset, wanted.committed_metadata.clone())?,
    };
    models
        .transactions
        .add_offset(&request.transactional_id, producer_of(request), offset)
}

pub(super) fn end_transaction(call: &mut Call<'_>, request: EndTxnRequest) -> EndTxnResponse {
    let producer = Producer {
        id: request.producer_id.0,
        epoch: request.producer_epoch,
    };
    let ended = call.spare().and_then(|()| {
        call.change(|models| {
            models.end_transaction(&request.transactional_id, producer, request.committed)
        })
    });
    EndTxnResponse::default()
        .with_error_code(fencing_code(&ended, call.version >= OTHERS_KNOW_FENCED))
}
