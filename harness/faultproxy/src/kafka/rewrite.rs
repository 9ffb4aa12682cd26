//! Answers that are changed on their way: addresses, offered versions, errors of topics. What is not concerned is copied
//! as it is, unknown fields included.

use super::address::Told;
use super::api_key::ApiKey;
use super::request::Header;
use super::wire::{Reader, Writer};

/// A broker's answer to ApiVersions in a version that it does not know; its format is then that of version 0.
const UNSUPPORTED_VERSION: i16 = 35;

/// Topics and their ids, as an answer to Metadata tells them.
pub(super) type TopicIds = Vec<([u8; 16], String)>;

/// An error to put on topics of a Metadata answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicError {
    pub(super) code: i16,
    /// Which topic; `None` for all.
    pub(super) topic: Option<String>,
}

/// A changed answer.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    /// Without the length.
    pub(super) frame: Vec<u8>,
    pub(super) topic_ids: TopicIds,
    /// How many topics got the error.
    pub(super) errors: usize,
}

/// True if answers of this API must be understood before they may pass.
pub(super) fn concerns(api: ApiKey) -> bool {
    matches!(
        api,
        ApiKey::METADATA
            | ApiKey::FIND_COORDINATOR
            | ApiKey::DESCRIBE_CLUSTER
            | ApiKey::API_VERSIONS
    )
}

/// Changes one answer (without its length); `None` where it cannot be read.
pub(super) fn answer(
    header: Header,
    frame: &[u8],
    told: &Told,
    error: Option<&TopicError>,
) -> Option<Rewritten> {
    let flexible = header.api.is_flexible(header.version);
    let mut reader = Reader::new(frame, flexible);
    let mut writer = Writer::new(flexible);
    reader.int32()?;
    if header.api == ApiKey::API_VERSIONS {
        return api_versions(frame, header.version);
    }
    reader.tags()?;
    let mut rewritten = Rewritten::default();
    match header.api {
        ApiKey::METADATA => metadata(
            header.version,
            &mut reader,
            &mut writer,
            told,
            error,
            &mut rewritten,
        )?,
        ApiKey::FIND_COORDINATOR => {
            find_coordinator(header.version, &mut reader, &mut writer, told)?
        }
        ApiKey::DESCRIBE_CLUSTER => {
            describe_cluster(header.version, &mut reader, &mut writer, told)?
        }
        _ => return None,
    }
    writer.raw(reader.rest());
    rewritten.frame = writer.into_bytes();
    Some(rewritten)
}

/// Hides what would lead around the proxy. The answer's header never has tagged fields.
fn api_versions(frame: &[u8], version: i16) -> Option<Rewritten> {
    let error = Reader::new(frame.get(4..)?, false).int16()?;
    let flexible = error != UNSUPPORTED_VERSION && ApiKey::API_VERSIONS.is_flexible(version);
    let mut reader = Reader::new(frame, flexible);
    let mut writer = Writer::new(flexible);
    writer.raw(reader.bytes(4 + 2)?);
    let mut kept = Writer::new(flexible);
    let mut count = 0;
    for _ in 0..reader.elements()? {
        let (api, lowest, highest) = (reader.int16()?, reader.int16()?, reader.int16()?);
        let tags = reader.position();
        reader.tags()?;
        let highest = highest.min(ApiKey(api).highest_offered());
        if highest >= lowest {
            count += 1;
            kept.int16(api);
            kept.int16(lowest);
            kept.int16(highest);
            kept.raw(reader.since(tags));
        }
    }
    writer.elements(count);
    writer.raw(&kept.into_bytes());
    writer.raw(reader.rest());
    Some(Rewritten {
        frame: writer.into_bytes(),
        ..Rewritten::default()
    })
}

fn metadata(
    version: i16,
    reader: &mut Reader<'_>,
    writer: &mut Writer,
    told: &Told,
    error: Option<&TopicError>,
    rewritten: &mut Rewritten,
) -> Option<()> {
    if version >= 3 {
        reader.int32()?;
    }
    writer.raw(reader.since(0));
    let brokers = reader.elements()?;
    writer.elements(brokers);
    for _ in 0..brokers {
        node(reader, writer, told)?;
        let from = reader.position();
        if version >= 1 {
            reader.nullable_string()?;
        }
        reader.tags()?;
        writer.raw(reader.since(from));
    }
    let from = reader.position();
    if version >= 2 {
        reader.nullable_string()?;
    }
    if version >= 1 {
        reader.int32()?;
    }
    writer.raw(reader.since(from));
    let topics = reader.elements()?;
    writer.elements(topics);
    for _ in 0..topics {
        metadata_topic(version, reader, writer, error, rewritten)?;
    }
    Some(())
}

fn metadata_topic(
    version: i16,
    reader: &mut Reader<'_>,
    writer: &mut Writer,
    error: Option<&TopicError>,
    rewritten: &mut Rewritten,
) -> Option<()> {
    let code = reader.int16()?;
    let from = reader.position();
    let name = reader.nullable_string()?;
    if version >= 10 {
        let id = reader.uuid()?;
        rewritten
            .topic_ids
            .extend(name.map(|name| (id, name.to_owned())));
    }
    if version >= 1 {
        reader.int8()?;
    }
    let head = reader.since(from);
    let from = reader.position();
    for _ in 0..reader.elements()? {
        reader.bytes(2 + 4 + 4 + if version >= 7 { 4 } else { 0 })?;
        reader.skip_array(4)?;
        reader.skip_array(4)?;
        if version >= 5 {
            reader.skip_array(4)?;
        }
        reader.tags()?;
    }
    let partitions = reader.since(from);
    let from = reader.position();
    if version >= 8 {
        reader.int32()?;
    }
    reader.tags()?;
    let concerned = error.filter(|error| {
        error
            .topic
            .as_deref()
            .is_none_or(|topic| Some(topic) == name)
    });
    match concerned {
        Some(error) => {
            rewritten.errors += 1;
            writer.int16(error.code);
            writer.raw(head);
            writer.elements(0);
        }
        None => {
            writer.int16(code);
            writer.raw(head);
            writer.raw(partitions);
        }
    }
    writer.raw(reader.since(from));
    Some(())
}

fn find_coordinator(
    version: i16,
    reader: &mut Reader<'_>,
    writer: &mut Writer,
    told: &Told,
) -> Option<()> {
    if version >= 1 {
        reader.int32()?;
    }
    if version <= 3 {
        reader.int16()?;
        if version >= 1 {
            reader.nullable_string()?;
        }
        writer.raw(reader.since(0));
        return node(reader, writer, told);
    }
    writer.raw(reader.since(0));
    let coordinators = reader.elements()?;
    writer.elements(coordinators);
    for _ in 0..coordinators {
        let from = reader.position();
        reader.string()?;
        writer.raw(reader.since(from));
        node(reader, writer, told)?;
        let from = reader.position();
        reader.int16()?;
        reader.nullable_string()?;
        reader.tags()?;
        writer.raw(reader.since(from));
    }
    Some(())
}

fn describe_cluster(
    version: i16,
    reader: &mut Reader<'_>,
    writer: &mut Writer,
    told: &Told,
) -> Option<()> {
    reader.bytes(4 + 2)?;
    reader.nullable_string()?;
    if version >= 1 {
        reader.int8()?;
    }
    reader.string()?;
    reader.int32()?;
    writer.raw(reader.since(0));
    let brokers = reader.elements()?;
    writer.elements(brokers);
    for _ in 0..brokers {
        node(reader, writer, told)?;
        let from = reader.position();
        reader.nullable_string()?;
        if version >= 2 {
            reader.int8()?;
        }
        reader.tags()?;
        writer.raw(reader.since(from));
    }
    Some(())
}

/// Copies a node id and replaces the address behind it. No node (a negative id) keeps its empty address.
fn node(reader: &mut Reader<'_>, writer: &mut Writer, told: &Told) -> Option<()> {
    let id = reader.int32()?;
    writer.int32(id);
    let from = reader.position();
    reader.string()?;
    reader.int32()?;
    if id < 0 {
        writer.raw(reader.since(from));
    } else {
        let address = told.address(id);
        writer.string(&address.host);
        writer.int32(i32::from(address.port));
    }
    Some(())
}
