//! The schemas of the request bodies that this broker reads, up to the versions in `versions`.

use super::shape::Field;
use super::shape::Kind::{self, Blob, Each, Fixed, Numbers, Text, Texts};
use kafka_protocol::messages::ApiKey;

const fn all(kind: Kind) -> Field {
    between(0, i16::MAX, kind)
}

const fn since(first: i16, kind: Kind) -> Field {
    between(first, i16::MAX, kind)
}

const fn until(last: i16, kind: Kind) -> Field {
    between(0, last, kind)
}

const fn between(first: i16, last: i16, kind: Kind) -> Field {
    Field { first, last, kind }
}

const BOOL: Kind = Fixed(1);
const I8: Kind = Fixed(1);
const I16: Kind = Fixed(2);
const I32: Kind = Fixed(4);
const I64: Kind = Fixed(8);
const UUID: Kind = Fixed(16);

/// The fields of a request body of this API, in order.
pub(super) fn shape_of(api: ApiKey) -> Option<&'static [Field]> {
    Some(match api {
        ApiKey::Produce => PRODUCE,
        ApiKey::Fetch => FETCH,
        ApiKey::ListOffsets => LIST_OFFSETS,
        ApiKey::Metadata => METADATA,
        ApiKey::OffsetCommit => OFFSET_COMMIT,
        ApiKey::OffsetFetch => OFFSET_FETCH,
        ApiKey::FindCoordinator => FIND_COORDINATOR,
        ApiKey::JoinGroup => JOIN_GROUP,
        ApiKey::Heartbeat => HEARTBEAT,
        ApiKey::LeaveGroup => LEAVE_GROUP,
        ApiKey::SyncGroup => SYNC_GROUP,
        ApiKey::DescribeGroups => DESCRIBE_GROUPS,
        ApiKey::ListGroups => LIST_GROUPS,
        ApiKey::ApiVersions => API_VERSIONS,
        ApiKey::CreateTopics => CREATE_TOPICS,
        ApiKey::DeleteTopics => DELETE_TOPICS,
        ApiKey::InitProducerId => INIT_PRODUCER_ID,
        ApiKey::AddPartitionsToTxn => ADD_PARTITIONS_TO_TXN,
        ApiKey::AddOffsetsToTxn => ADD_OFFSETS_TO_TXN,
        ApiKey::EndTxn => END_TXN,
        ApiKey::TxnOffsetCommit => TXN_OFFSET_COMMIT,
        ApiKey::DescribeConfigs => DESCRIBE_CONFIGS,
        ApiKey::CreatePartitions => CREATE_PARTITIONS,
        ApiKey::DeleteGroups => DELETE_GROUPS,
        ApiKey::DescribeCluster => DESCRIBE_CLUSTER,
        ApiKey::DeleteRecords => DELETE_RECORDS,
        ApiKey::AlterConfigs => ALTER_CONFIGS,
        ApiKey::IncrementalAlterConfigs => INCREMENTAL_ALTER_CONFIGS,
        ApiKey::ConsumerGroupHeartbeat => CONSUMER_GROUP_HEARTBEAT,
        _ => return None,
    })
}

const PRODUCE: &[Field] = &[
    all(Text),
    all(I16),
    all(I32),
    all(Each(&[all(Text), all(Each(&[all(I32), all(Blob)]))])),
];
const FETCH: &[Field] = &[
    all(I32),
    all(I32),
    all(I32),
    all(I32),
    all(I8),
    since(7, I32),
    since(7, I32),
    all(Each(&[
        all(Text),
        all(Each(&[
            all(I32),
            since(9, I32),
            all(I64),
            since(12, I32),
            since(5, I64),
            all(I32),
        ])),
    ])),
    since(7, Each(&[all(Text), all(Numbers)])),
    since(11, Text),
];
const LIST_OFFSETS: &[Field] = &[
    all(I32),
    since(2, I8),
    all(Each(&[
        all(Text),
        all(Each(&[all(I32), since(4, I32), all(I64)])),
    ])),
];
const METADATA: &[Field] = &[
    all(Each(&[since(10, UUID), all(Text)])),
    since(4, BOOL),
    between(8, 10, BOOL),
    since(8, BOOL),
];
const OFFSET_COMMIT: &[Field] = &[
    all(Text),
    all(I32),
    all(Text),
    since(7, Text),
    until(4, I64),
    all(Each(&[
        all(Text),
        all(Each(&[all(I32), all(I64), since(6, I32), all(Text)])),
    ])),
];
const OFFSET_FETCH: &[Field] = &[
    all(Text),
    all(Each(&[all(Text), all(Numbers)])),
    since(7, BOOL),
];
const FIND_COORDINATOR: &[Field] = &[until(3, Text), since(1, I8), since(4, Texts)];
const JOIN_GROUP: &[Field] = &[
    all(Text),
    all(I32),
    since(1, I32),
    all(Text),
    since(5, Text),
    all(Text),
    all(Each(&[all(Text), all(Blob)])),
];
const HEARTBEAT: &[Field] = &[all(Text), all(I32), all(Text), since(3, Text)];
const LEAVE_GROUP: &[Field] = &[
    all(Text),
    until(2, Text),
    since(3, Each(&[all(Text), all(Text)])),
];
const SYNC_GROUP: &[Field] = &[
    all(Text),
    all(I32),
    all(Text),
    since(3, Text),
    since(5, Text),
    since(5, Text),
    all(Each(&[all(Text), all(Blob)])),
];
const DESCRIBE_GROUPS: &[Field] = &[all(Texts), since(3, BOOL)];
const LIST_GROUPS: &[Field] = &[since(4, Texts)];
const API_VERSIONS: &[Field] = &[since(3, Text), since(3, Text)];
const CREATE_TOPICS: &[Field] = &[
    all(Each(&[
        all(Text),
        all(I32),
        all(I16),
        all(Each(&[all(I32), all(Numbers)])),
        all(Each(&[all(Text), all(Text)])),
    ])),
    all(I32),
    all(BOOL),
];
const DELETE_TOPICS: &[Field] = &[all(Texts), all(I32)];
const INIT_PRODUCER_ID: &[Field] = &[all(Text), all(I32), since(3, I64), since(3, I16)];
const ADD_PARTITIONS_TO_TXN: &[Field] = &[
    all(Text),
    all(I64),
    all(I16),
    all(Each(&[all(Text), all(Numbers)])),
];
const ADD_OFFSETS_TO_TXN: &[Field] = &[all(Text), all(I64), all(I16), all(Text)];
const END_TXN: &[Field] = &[all(Text), all(I64), all(I16), all(BOOL)];
const TXN_OFFSET_COMMIT: &[Field] = &[
    all(Text),
    all(Text),
    all(I64),
    all(I16),
    since(3, I32),
    since(3, Text),
    since(3, Text),
    all(Each(&[
        all(Text),
        all(Each(&[all(I32), all(I64), since(2, I32), all(Text)])),
    ])),
];
const DESCRIBE_CONFIGS: &[Field] = &[
    all(Each(&[all(I8), all(Text), all(Texts)])),
    all(BOOL),
    since(3, BOOL),
];
const CREATE_PARTITIONS: &[Field] = &[
    all(Each(&[all(Text), all(I32), all(Each(&[all(Numbers)]))])),
    all(I32),
    all(BOOL),
];
const DELETE_GROUPS: &[Field] = &[all(Texts)];
const DESCRIBE_CLUSTER: &[Field] = &[all(BOOL), since(1, I8)];
const DELETE_RECORDS: &[Field] = &[
    all(Each(&[all(Text), all(Each(&[all(I32), all(I64)]))])),
    all(I32),
];
const ALTER_CONFIGS: &[Field] = &[
    all(Each(&[
        all(I8),
        all(Text),
        all(Each(&[all(Text), all(Text)])),
    ])),
    all(BOOL),
];
const INCREMENTAL_ALTER_CONFIGS: &[Field] = &[
    all(Each(&[
        all(I8),
        all(Text),
        all(Each(&[all(Text), all(I8), all(Text)])),
    ])),
    all(BOOL),
];
const CONSUMER_GROUP_HEARTBEAT: &[Field] = &[
    all(Text),
    all(Text),
    all(I32),
    all(Text),
    all(Text),
    all(I32),
    all(Texts),
    since(1, Text),
    all(Text),
    all(Each(&[all(UUID), all(Numbers)])),
];
