//! Fetch: what is there at once, or a wait for it.
//!
//! A client asks for as many partitions as it knows positions of. librdkafka learns them one by one after an
//! assignment, so that its first fetch may name one empty partition out of many; a long poll on that one would keep
//! the others waiting for `fetch.wait.max.ms`. A fetch with a partition that the previous one did not name is
//! therefore answered after `first_fetch_wait`.

use super::{Call, check_leader_epoch, code};
use crate::cluster::Models;
use crate::connection::Ended;
use crate::events::EventKind;
use crate::log::Read;
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, FetchableTopicResponse, PartitionData,
};
use kafka_protocol::messages::{FetchRequest, FetchResponse, ProducerId};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

const READ_COMMITTED: i8 = 1;

/// What one look at the partitions gave.
struct Look {
    answer: FetchResponse,
    bytes: usize,
    failed: bool,
    /// What the answer would deliver, if somebody watches events.
    delivers: Vec<EventKind>,
}

pub(super) async fn fetch(
    call: &mut Call<'_>,
    request: FetchRequest,
) -> Result<FetchResponse, Ended> {
    let deadline = Instant::now() + longest_wait(call, &request);
    let enough = usize::try_from(request.min_bytes).unwrap_or(0);
    let data = call.session.data.clone();
    loop {
        let look = look(call, &request, &Arc::downgrade(&data), enough);
        if look.failed || look.bytes >= enough || Instant::now() >= deadline {
            // Told when the answer was handed over.
            call.session.origin = (!look.delivers.is_empty()).then(|| call.origin());
            call.session.delivers = look.delivers;
            return Ok(look.answer.with_throttle_time_ms(call.throttle_ms()));
        }
        tokio::select! {
            () = data.notified() => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
}

/// How long the request may wait for data; notes its partitions for the next one.
fn longest_wait(call: &mut Call<'_>, request: &FetchRequest) -> Duration {
    let asked = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let named = request.topics.iter().flat_map(|topic| {
        let name = topic.topic.as_str();
        topic
            .partitions
            .iter()
            .map(move |partition| (name, partition.partition))
    });
    let mut fetched: Vec<(String, i32)> = named
        .map(|(name, index)| (name.to_owned(), index))
        .collect();
    fetched.sort_unstable();
    let before = &call.session.fetched;
    let first = fetched
        .iter()
        .any(|partition| before.binary_search(partition).is_err());
    call.session.fetched = fetched;
    if first {
        asked.min(call.cluster.config.first_fetch_wait)
    } else {
        asked
    }
}

/// Reads all partitions; if they hold less than `enough`, `waiter` is woken by the next change of any of them.
fn look(call: &Call<'_>, request: &FetchRequest, waiter: &Weak<Notify>, enough: usize) -> Look {
    let mut models = call.cluster.models();
    let mut look = Look {
        answer: FetchResponse::default(),
        bytes: 0,
        failed: false,
        delivers: Vec::new(),
    };
    let watched = models.journal.is_watched();
    let most = usize::try_from(request.max_bytes).unwrap_or(0);
    let most = most.min(call.cluster.config.max_fetch_bytes);
    for topic in &request.topics {
        let mut response = FetchableTopicResponse::default().with_topic(topic.topic.clone());
        for wanted in &topic.partitions {
            let room = most.saturating_sub(look.bytes);
            let one_at_least = look.bytes == 0;
            let spared = call.spare();
            let read = spared.and_then(|()| {
                read(
                    &models,
                    &topic.topic,
                    wanted,
                    request.isolation_level,
                    room,
                    one_at_least,
                )
            });
            if let Ok(found) = &read
                && watched
                && !found.read.records.is_empty()
            {
                look.delivers.push(EventKind::Delivered {
                    topic: topic.topic.to_string(),
                    partition: wanted.partition,
                    first_offset: wanted.fetch_offset,
                    end_offset: found.read.end_offset,
                });
            }
            look.failed |= read.is_err();
            look.bytes += read.as_ref().map_or(0, |found| found.read.records.len());
            response.partitions.push(partition_answer(
                call.version,
                wanted.partition,
                request.isolation_level,
                read,
            ));
        }
        look.answer.responses.push(response);
    }
    if !look.failed && look.bytes < enough {
        for topic in &request.topics {
            for wanted in &topic.partitions {
                if let Some(partition) = models.topics.partition_mut(&topic.topic, wanted.partition)
                {
                    partition.watch(waiter);
                }
            }
        }
    }
    look
}

/// What one partition holds for the reader, and where it stands.
struct Found {
    read: Read,
    end: i64,
    last_stable: i64,
    start: i64,
}

fn read(
    models: &Models,
    topic: &str,
    wanted: &FetchPartition,
    isolation_level: i8,
    room: usize,
    one_at_least: bool,
) -> Result<Found, ResponseError> {
    let partition = models
        .topics
        .partition(topic, wanted.partition)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    check_leader_epoch(wanted.current_leader_epoch)?;
    let (start, end, last_stable) = (partition.start(), partition.end(), partition.last_stable());
    if !(start..=end).contains(&wanted.fetch_offset) {
        return Err(ResponseError::OffsetOutOfRange);
    }
    let limit = if isolation_level == READ_COMMITTED {
        last_stable
    } else {
        end
    };
    let most = usize::try_from(wanted.partition_max_bytes)
        .unwrap_or(0)
        .min(room);
    let read = partition.read(wanted.fetch_offset, limit, most, one_at_least);
    Ok(Found {
        read,
        end,
        last_stable,
        start,
    })
}

fn partition_answer(
    version: i16,
    index: i32,
    isolation_level: i8,
    found: Result<Found, ResponseError>,
) -> PartitionData {
    let answer = PartitionData::default()
        .with_partition_index(index)
        .with_error_code(code(&found));
    let Ok(found) = found else {
        return answer
            .with_high_watermark(-1)
            .with_last_stable_offset(-1)
            .with_records(Some(Bytes::new()));
    };
    let aborted = found.read.aborted.iter().map(|aborted| {
        AbortedTransaction::default()
            .with_producer_id(ProducerId(aborted.producer_id))
            .with_first_offset(aborted.first)
    });
    let answer = if isolation_level == READ_COMMITTED {
        answer.with_aborted_transactions(Some(aborted.collect()))
    } else {
        answer.with_aborted_transactions(None)
    };
    let answer = if version >= 5 {
        answer.with_log_start_offset(found.start)
    } else {
        answer
    };
    answer
        .with_high_watermark(found.end)
        .with_last_stable_offset(found.last_stable)
        .with_records(Some(found.read.records))
}
