//! The APIs of the Kafka protocol, as far as a proxy must know them.
//!
//! Two kinds of answers name addresses that are not replaced, so clients are not offered them: the error answers of
//! Produce from version 10 and Fetch from version 16 (KIP-951), and those of a few APIs that no ordinary client needs.

use std::fmt;

/// The number of an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ApiKey(pub(crate) i16);

impl ApiKey {
    pub(crate) const PRODUCE: Self = Self(0);
    pub(crate) const FETCH: Self = Self(1);
    pub(crate) const LIST_OFFSETS: Self = Self(2);
    pub(crate) const METADATA: Self = Self(3);
    pub(crate) const OFFSET_COMMIT: Self = Self(8);
    pub(crate) const OFFSET_FETCH: Self = Self(9);
    pub(crate) const FIND_COORDINATOR: Self = Self(10);
    pub(crate) const JOIN_GROUP: Self = Self(11);
    pub(crate) const HEARTBEAT: Self = Self(12);
    pub(crate) const LEAVE_GROUP: Self = Self(13);
    pub(crate) const SYNC_GROUP: Self = Self(14);
    pub(crate) const API_VERSIONS: Self = Self(18);
    pub(crate) const INIT_PRODUCER_ID: Self = Self(22);
    pub(crate) const DESCRIBE_QUORUM: Self = Self(55);
    pub(crate) const DESCRIBE_CLUSTER: Self = Self(60);
    pub(crate) const SHARE_FETCH: Self = Self(78);
    pub(crate) const SHARE_ACKNOWLEDGE: Self = Self(79);

    /// The API of that name, as Kafka's documentation writes it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(key, _)| Self(*key))
    }

    /// The highest version that clients are offered; -1 hides the API.
    pub(crate) fn highest_offered(self) -> i16 {
        match self {
            Self::PRODUCE => 9,
            Self::FETCH => 15,
            Self::METADATA => 13,
            Self::FIND_COORDINATOR => 6,
            Self::API_VERSIONS => 4,
            Self::DESCRIBE_QUORUM => 1,
            Self::DESCRIBE_CLUSTER => 2,
            Self::SHARE_FETCH | Self::SHARE_ACKNOWLEDGE => -1,
            _ => i16::MAX,
        }
    }

    /// The first version with tagged fields and compact lengths, for the APIs that are read here.
    pub(crate) fn flexible_from(self) -> Option<i16> {
        Some(match self {
            Self::PRODUCE | Self::METADATA => 9,
            Self::FETCH => 12,
            Self::LIST_OFFSETS | Self::OFFSET_FETCH | Self::JOIN_GROUP => 6,
            Self::OFFSET_COMMIT => 8,
            Self::FIND_COORDINATOR | Self::API_VERSIONS => 3,
            Self::HEARTBEAT | Self::LEAVE_GROUP | Self::SYNC_GROUP => 4,
            Self::INIT_PRODUCER_ID => 2,
            Self::DESCRIBE_CLUSTER => 0,
            _ => return None,
        })
    }

    pub(crate) fn is_flexible(self, version: i16) -> bool {
        self.flexible_from().is_some_and(|from| version >= from)
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(key, _)| *key == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "Api{}", self.0),
        }
    }
}

const NAMES: &[(i16, &str)] = &[
    (0, "Produce"),
    (1, "Fetch"),
    (2, "ListOffsets"),
    (3, "Metadata"),
    (8, "OffsetCommit"),
    (9, "OffsetFetch"),
    (10, "FindCoordinator"),
    (11, "JoinGroup"),
    (12, "Heartbeat"),
    (13, "LeaveGroup"),
    (14, "SyncGroup"),
    (15, "DescribeGroups"),
    (16, "ListGroups"),
    (17, "SaslHandshake"),
    (18, "ApiVersions"),
    (19, "CreateTopics"),
    (20, "DeleteTopics"),
    (21, "DeleteRecords"),
    (22, "InitProducerId"),
    (23, "OffsetForLeaderEpoch"),
    (24, "AddPartitionsToTxn"),
    (25, "AddOffsetsToTxn"),
    (26, "EndTxn"),
    (27, "WriteTxnMarkers"),
    (28, "TxnOffsetCommit"),
    (32, "DescribeConfigs"),
    (33, "AlterConfigs"),
    (36, "SaslAuthenticate"),
    (37, "CreatePartitions"),
    (42, "DeleteGroups"),
    (44, "IncrementalAlterConfigs"),
    (47, "OffsetDelete"),
    (55, "DescribeQuorum"),
    (60, "DescribeCluster"),
    (61, "DescribeProducers"),
    (65, "DescribeTransactions"),
    (66, "ListTransactions"),
    (68, "ConsumerGroupHeartbeat"),
    (69, "ConsumerGroupDescribe"),
    (71, "GetTelemetrySubscriptions"),
    (72, "PushTelemetry"),
    (75, "DescribeTopicPartitions"),
    (78, "ShareFetch"),
    (79, "ShareAcknowledge"),
];
