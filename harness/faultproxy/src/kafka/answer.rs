//! Error answers to requests, in the format of the request's version: what a broker that refuses would say.

use super::api_key::ApiKey;
use super::request::{Body, Header, Name, Topic};
use super::wire::Writer;

/// The APIs whose requests can be answered with an error without the broker.
pub(super) const ANSWERED: &[ApiKey] = &[
    ApiKey::PRODUCE,
    ApiKey::FETCH,
    ApiKey::OFFSET_COMMIT,
    ApiKey::FIND_COORDINATOR,
    ApiKey::JOIN_GROUP,
    ApiKey::HEARTBEAT,
    ApiKey::LEAVE_GROUP,
    ApiKey::SYNC_GROUP,
    ApiKey::INIT_PRODUCER_ID,
];

/// The whole answer, length included; `None` where this version cannot be answered.
pub(super) fn error(header: Header, body: &Body, code: i16) -> Option<Vec<u8>> {
    let version = header.version;
    let flexible = header.api.is_flexible(version);
    let mut writer = Writer::new(flexible);
    writer.int32(header.correlation);
    writer.tags();
    match header.api {
        ApiKey::PRODUCE if (3..=9).contains(&version) => produce(version, body, code, &mut writer),
        ApiKey::FETCH if (4..=15).contains(&version) => fetch(version, body, code, &mut writer),
        ApiKey::OFFSET_COMMIT if (2..=10).contains(&version) => {
            offset_commit(version, body, code, &mut writer)
        }
        ApiKey::FIND_COORDINATOR if version <= 6 => {
            find_coordinator(version, body, code, &mut writer)
        }
        ApiKey::JOIN_GROUP if version <= 9 => join_group(version, body, code, &mut writer),
        ApiKey::HEARTBEAT if version <= 4 => {
            throttle(version >= 1, &mut writer);
            writer.int16(code);
        }
        ApiKey::LEAVE_GROUP if version <= 5 => {
            throttle(version >= 1, &mut writer);
            writer.int16(code);
            if version >= 3 {
                writer.elements(0);
            }
        }
        ApiKey::SYNC_GROUP if version <= 5 => {
            throttle(version >= 1, &mut writer);
            writer.int16(code);
            if version >= 5 {
                writer.null_string();
                writer.null_string();
            }
            writer.empty_bytes();
        }
        ApiKey::INIT_PRODUCER_ID if version <= 5 => {
            throttle(true, &mut writer);
            writer.int16(code);
            writer.int64(-1);
            writer.int16(-1);
        }
        _ => return None,
    }
    writer.tags();
    Some(framed(writer.into_bytes()))
}

/// Puts the length in front.
pub(super) fn framed(answer: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(answer.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), answer.as_slice()].concat()
}

fn throttle(there: bool, writer: &mut Writer) {
    if there {
        writer.int32(0);
    }
}

fn produce(version: i16, body: &Body, code: i16, writer: &mut Writer) {
    topics(&body.topics, writer, |writer| {
        writer.int16(code);
        writer.int64(-1);
        writer.int64(-1);
        if version >= 5 {
            writer.int64(-1);
        }
        if version >= 8 {
            writer.elements(0);
            writer.null_string();
        }
    });
    throttle(true, writer);
}

fn fetch(version: i16, body: &Body, code: i16, writer: &mut Writer) {
    throttle(true, writer);
    if version >= 7 {
        // A client with a fetch session names no partitions that did not change: then the whole answer is the error.
        writer.int16(if body.topics.is_empty() { code } else { 0 });
        writer.int32(body.session);
    }
    topics(&body.topics, writer, |writer| {
        writer.int16(code);
        writer.int64(-1);
        writer.int64(-1);
        if version >= 5 {
            writer.int64(-1);
        }
        writer.null_array();
        if version >= 11 {
            writer.int32(-1);
        }
        writer.empty_bytes();
    });
}

fn offset_commit(version: i16, body: &Body, code: i16, writer: &mut Writer) {
    throttle(version >= 3, writer);
    topics(&body.topics, writer, |writer| writer.int16(code));
}

fn find_coordinator(version: i16, body: &Body, code: i16, writer: &mut Writer) {
    throttle(version >= 1, writer);
    let nobody = |writer: &mut Writer| {
        writer.int32(-1);
        writer.string("");
        writer.int32(-1);
    };
    if version <= 3 {
        writer.int16(code);
        if version >= 1 {
            writer.null_string();
        }
        nobody(writer);
        return;
    }
    writer.elements(body.keys.len());
    for key in &body.keys {
        writer.string(key);
        nobody(writer);
        writer.int16(code);
        writer.null_string();
        writer.tags();
    }
}

fn join_group(version: i16, body: &Body, code: i16, writer: &mut Writer) {
    throttle(version >= 2, writer);
    writer.int16(code);
    writer.int32(-1);
    if version >= 7 {
        writer.null_string();
        writer.null_string();
    } else {
        writer.string("");
    }
    writer.string("");
    if version >= 9 {
        writer.int8(0);
    }
    writer.string(&body.member);
    writer.elements(0);
}

/// Writes the request's topics with their partitions, each of which ends with what `rest` writes.
fn topics(topics: &[Topic], writer: &mut Writer, rest: impl Fn(&mut Writer)) {
    writer.elements(topics.len());
    for topic in topics {
        match &topic.name {
            Name::Text(name) => writer.string(name),
            Name::Id(id) => writer.raw(id),
        }
        writer.elements(topic.partitions.len());
        for partition in &topic.partitions {
            writer.int32(*partition);
            rest(writer);
            writer.tags();
        }
        writer.tags();
    }
}
