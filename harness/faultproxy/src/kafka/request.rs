//! What a request asks for: its header, and the topics it names.

use super::api_key::ApiKey;
use super::wire::Reader;

/// The fixed part of every request's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) api: ApiKey,
    pub(super) version: i16,
    pub(super) correlation: i32,
}

/// A topic as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Text(String),
    Id([u8; 16]),
}

/// A topic in a request, with the partitions that are asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) name: Name,
    pub(super) partitions: Vec<i32>,
}

/// What of a request's body rules and error answers need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) topics: Vec<Topic>,
    /// Produce: what must have happened before the answer; 0 means that there is none.
    pub(super) acks: Option<i16>,
    /// Fetch: the session that the client has.
    pub(super) session: i32,
    /// JoinGroup: the member that asks.
    pub(super) member: String,
    /// FindCoordinator from version 4: the keys it asks for.
    pub(super) keys: Vec<String>,
}

/// Reads the header of a frame (without its length).
pub(super) fn header(frame: &[u8]) -> Option<Header> {
    let mut reader = Reader::new(frame, false);
    Some(Header {
        api: ApiKey(reader.int16()?),
        version: reader.int16()?,
        correlation: reader.int32()?,
    })
}

/// Reads the body of a frame whose header is this; `None` where it cannot be read.
pub(super) fn body(header: Header, frame: &[u8]) -> Option<Body> {
    let flexible = header.api.is_flexible(header.version);
    let mut opening = Reader::new(frame, false);
    opening.bytes(8)?;
    opening.nullable_string()?;
    let mut reader = Reader::new(opening.rest(), flexible);
    reader.tags()?;
    let (version, reader) = (header.version, &mut reader);
    match header.api {
        ApiKey::PRODUCE => produce(version, reader),
        ApiKey::FETCH => fetch(version, reader),
        ApiKey::LIST_OFFSETS => list_offsets(version, reader),
        ApiKey::METADATA => metadata(version, reader),
        ApiKey::OFFSET_COMMIT => offset_commit(version, reader),
        ApiKey::OFFSET_FETCH => offset_fetch(version, reader),
        ApiKey::FIND_COORDINATOR => find_coordinator(version, reader),
        ApiKey::JOIN_GROUP => join_group(version, reader),
        _ => Some(Body::default()),
    }
}

fn produce(version: i16, reader: &mut Reader<'_>) -> Option<Body> {
    if version >= 3 {
        reader.nullable_string()?;
    }
    let acks = reader.int16()?;
    reader.int32()?;
    let topics = topics(
        reader,
        |reader| Some(Name::Text(reader.string()?.to_owned())),
        |reader| {
            let partition = reader.int32()?;
            reader.nullable_bytes()?;
            Some(partition)
        },
    )?;
    Some(Body {
        topics,
        acks: Some(acks),
        ..Body::default()
    })
}

fn fetch(version: i16, reader: &mut Reader<'_>) -> Option<Body> {
    if version <= 14 {
        reader.int32()?;
    }
    reader.bytes(4 + 4 + if version >= 3 { 4 } else { 0 } + if version >= 4 { 1 } else { 0 })?;
    let session = if version >= 7 { reader.int32()? } else { 0 };
    if version >= 7 {
        reader.int32()?;
    }
    let name = |reader: &mut Reader<'_>| match version {
        13.. => reader.uuid().map(Name::Id),
        _ => Some(Name::Text(reader.string()?.to_owned())),
    };
    let after = if version >= 9 { 4 } else { 0 }
        + 8
        + if version >= 12 { 4 } else { 0 }
        + if version >= 5 { 8 } else { 0 }
        + 4;
    let topics = topics(reader, name, |reader| {
        let partition = reader.int32()?;
        reader.bytes(after)?;
        Some(partition)
    })?;
    Some(Body {
        topics,
        session,
        ..Body::default()
    })
}

fn list_offsets(version: i16, reader: &mut Reader<'_>) -> Option<Body> {
    reader.bytes(4 + if version >= 2 { 1 } else { 0 })?;
    let topics = topics(
        reader,
        |reader| Some(Name::Text(reader.string()?.to_owned())),
        |reader| {
            let partition = reader.int32()?;
            reader
                .bytes(if version >= 4 { 4 } else { 0 } + 8 + if version == 0 { 4 } else { 0 })?;
            Some(partition)
        },
    )?;
    Some(Body {
        topics,
        ..Body::default()
    })
}

fn metadata(version: i16, reader: &mut Reader<'_>) -> Option<Body> {
    let mut topics = Vec::new();
    for _ in 0..reader.nullable_array()?.unwrap_or(0) {
        let id = if version >= 10 {
            Some(reader.uuid()?)
        } else {
            None
        };
        let name = match (reader.nullable_string()?, id) {
            (Some(text), _) => Name::Text(text.to_owned()),
            (None, Some(id)) => Name::Id(id),
            (None, None) => return None,
        };
        reader.tags()?;
        topics.push(Topic {
            name,
            partitions: Vec::new(),
        });
    }
    Some(Body {
        topics,
        ..Body::default()
    })
}

fn offset_commit(version: i16, reader: &mut Reader<'_>) -> Option<Body> {
    reader.string()?;
    if version >= 1 {
        reader.int32()?;
        reader.string()?;
    }
    if version >= 7 {
        reader.nullable_string()?;
    }
    if (2..=4).contains(&version) {
        reader.int64()?;
    }
    let name = |reader: &mut Reader<'_>| match version {
        10.. => reader.uuid().map(Name::Id),
        _ => Some(Name::Text(reader.string()?.to_owned())),
    };
    let topics = topics(reader, name, |reader| {
        let partition = reader.int32()?;
        reader.bytes(8 + if version >= 6 { 4 } else { 0 } + if version == 1 { 8 } else { 0 })?;
        reader.nullable_string()?;
        Some(partition)
    })?;
    Some(Body {
        topics,
        ..Body::default()
    })
}

fn offset_fetch(version: i16, reader: &mut Reader<'_>) -> Option<Body> {
    let groups = if version >= 8 { reader.elements()? } else { 1 };
    let mut topics = Vec::new();
    for _ in 0..groups {
        reader.string()?;
        if version >= 9 {
            reader.nullable_string()?;
            reader.int32()?;
        }
        for _ in 0..reader.nullable_array()?.unwrap_or(0) {
            let name = match version {
                10.. => Name::Id(reader.uuid()?),
                _ => Name::Text(reader.string()?.to_owned()),
            };
            reader.skip_array(4)?;
            reader.tags()?;
            topics.push(Topic {
                name,
                partitions: Vec::new(),
            });
        }
        reader.tags()?;
    }
    Some(Body {
        topics,
        ..Body::default()
    })
}

fn find_coordinator(version: i16, reader: &mut Reader<'_>) -> Option<Body> {
    let mut keys = Vec::new();
    if version >= 4 {
        reader.int8()?;
        for _ in 0..reader.elements()? {
            keys.push(reader.string()?.to_owned());
        }
    }
    Some(Body {
        keys,
        ..Body::default()
    })
}

fn join_group(version: i16, reader: &mut Reader<'_>) -> Option<Body> {
    reader.string()?;
    reader.bytes(4 + if version >= 1 { 4 } else { 0 })?;
    Some(Body {
        member: reader.string()?.to_owned(),
        ..Body::default()
    })
}

/// Reads an array of topics, each with an array of partitions.
fn topics<'a>(
    reader: &mut Reader<'a>,
    name: impl Fn(&mut Reader<'a>) -> Option<Name>,
    partition: impl Fn(&mut Reader<'a>) -> Option<i32>,
) -> Option<Vec<Topic>> {
    let mut topics = Vec::new();
    for _ in 0..reader.elements()? {
        let name = name(reader)?;
        let mut partitions = Vec::new();
        for _ in 0..reader.elements()? {
            partitions.push(partition(reader)?);
            reader.tags()?;
        }
        reader.tags()?;
        topics.push(Topic { name, partitions });
    }
    Some(topics)
}
