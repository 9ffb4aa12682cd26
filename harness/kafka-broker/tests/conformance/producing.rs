//! Producing and consuming.

use crate::world::{LIMIT, World, numbers, same, texts};
use anyhow::{Context, Result};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::FutureRecord;

pub(crate) fn produce_and_consume(world: &World) -> Result<()> {
    world.topic(1, &[])?;
    let offsets = world.send_numbered(&world.producer(&[])?, 0, 0..100)?;
    same(
        offsets,
        (0..100).collect(),
        "offsets of the acknowledgements",
    )?;
    let records = world.read(&world.reader(&[])?, 100)?;
    same(texts(&records), numbers(0..100), "values")?;
    let offsets: Vec<i64> = records.iter().map(|record| record.offset).collect();
    same(offsets, (0..100).collect(), "offsets")
}

pub(crate) fn keys_headers_and_nulls(world: &World) -> Result<()> {
    world.topic(1, &[])?;
    let producer = world.producer(&[])?;
    let headers: [(&str, Option<&[u8]>); 3] = [
        ("trace", Some(&[0, 255])),
        ("trace", Some(&[])),
        ("empty", None),
    ];
    let records: [(Option<&str>, Option<&str>); 4] = [
        (Some("key"), Some("value")),
        (Some("tombstone"), None),
        (Some(""), Some("")),
        (None, Some("no key")),
    ];
    for (number, (key, value)) in records.into_iter().enumerate() {
        let mut record: FutureRecord<'_, str, str> = FutureRecord::to(&world.name);
        record.key = key;
        record.payload = value;
        if number == 0 {
            let add = |all: OwnedHeaders, (key, value): &(&str, Option<&[u8]>)| {
                all.insert(Header { key, value: *value })
            };
            record.headers = Some(headers.iter().fold(OwnedHeaders::new(), add));
        }
        world
            .wait(producer.send(record, LIMIT))
            .map_err(|(error, _)| error)?;
    }
    let reader = world.reader(&[])?;
    let first = reader.poll(LIMIT).context("no record")??;
    same(
        read_headers(&first),
        headers
            .map(|(key, value)| (key.to_owned(), value.map(<[u8]>::to_vec)))
            .to_vec(),
        "headers",
    )?;
    same(first.key(), Some(&b"key"[..]), "key")?;
    let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
    let received = world.read(&reader, 3)?;
    let received: Vec<_> = received
        .into_iter()
        .map(|record| (record.key, record.value))
        .collect();
    let wanted = records[1..]
        .iter()
        .map(|(key, value)| (bytes(*key), bytes(*value)));
    same(received, wanted.collect(), "keys and values")
}

fn read_headers(message: &BorrowedMessage<'_>) -> Vec<(String, Option<Vec<u8>>)> {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    headers
        .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
        .collect()
}

pub(crate) fn compressed_records(world: &World) -> Result<()> {
    world.topic(1, &[])?;
    let producer = world.producer(&[("compression.type", "lz4"), ("linger.ms", "50")])?;
    world.send_numbered(&producer, 0, 0..200)?;
    let records = world.read(&world.reader(&[])?, 200)?;
    same(texts(&records), numbers(0..200), "values")
}

pub(crate) fn idempotent_produce(world: &World) -> Result<()> {
    world.topic(1, &[])?;
    let producer = world.producer(&[("enable.idempotence", "true"), ("linger.ms", "0")])?;
    world.send_numbered(&producer, 0, 0..500)?;
    let reader = world.reader(&[])?;
    same(texts(&world.read(&reader, 500)?), numbers(0..500), "values")?;
    let ends = reader.fetch_watermarks(&world.name, 0, LIMIT)?;
    same(ends, (0, 500), "first and last offset")
}

pub(crate) fn message_too_large(world: &World) -> Result<()> {
    world.topic(1, &[("max.message.bytes", "2000")])?;
    let producer = world.producer(&[])?;
    let refused = world.send(&producer, 0, &"x".repeat(5000));
    same(
        refused.err().and_then(|error| error.rdkafka_error_code()),
        Some(RDKafkaErrorCode::MessageSizeTooLarge),
        "error",
    )?;
    world.send(&producer, 0, &"x".repeat(500))?;
    same(world.read(&world.reader(&[])?, 1)?.len(), 1, "records")
}
