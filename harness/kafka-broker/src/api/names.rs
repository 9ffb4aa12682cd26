//! What each request names, for fault rules to compare with.

use crate::faults::Target;
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterConfigsRequest, ApiVersionsRequest,
    ConsumerGroupHeartbeatRequest, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    DescribeConfigsRequest, DescribeGroupsRequest, EndTxnRequest, FetchRequest,
    FindCoordinatorRequest, HeartbeatRequest, IncrementalAlterConfigsRequest,
    InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest,
    ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, ProduceRequest,
    SyncGroupRequest, TxnOffsetCommitRequest,
};

/// A request that may name topics and consumer groups.
pub(super) trait Names {
    fn names(&self) -> Target<'_> {
        Target::default()
    }
}

/// Requests that name neither topics nor groups.
macro_rules! nameless {
    ($($request:ty),* $(,)?) => { $(impl Names for $request {})* };
}

nameless!(
    AlterConfigsRequest,
    IncrementalAlterConfigsRequest,
    ApiVersionsRequest,
    DescribeClusterRequest,
    DescribeConfigsRequest,
    ListGroupsRequest,
    InitProducerIdRequest,
    EndTxnRequest,
);

impl Names for ProduceRequest {
    fn names(&self) -> Target<'_> {
        Target {
            topics: self
                .topic_data
                .iter()
                .map(|topic| topic.name.as_str())
                .collect(),
            ..Target::default()
        }
    }
}

impl Names for FetchRequest {
    fn names(&self) -> Target<'_> {
        Target {
            topics: self
                .topics
                .iter()
                .map(|topic| topic.topic.as_str())
                .collect(),
            ..Target::default()
        }
    }
}

impl Names for ListOffsetsRequest {
    fn names(&self) -> Target<'_> {
        Target {
            topics: self
                .topics
                .iter()
                .map(|topic| topic.name.as_str())
                .collect(),
            ..Target::default()
        }
    }
}

impl Names for MetadataRequest {
    fn names(&self) -> Target<'_> {
        Target {
            topics: self
                .topics
                .iter()
                .flatten()
                .filter_map(|topic| topic.name.as_ref())
                .map(|name| name.as_str())
                .collect(),
            ..Target::default()
        }
    }
}

impl Names for OffsetCommitRequest {
    fn names(&self) -> Target<'_> {
        Target {
            topics: self
                .topics
                .iter()
                .map(|topic| topic.name.as_str())
                .collect(),
            groups: vec![self.group_id.as_str()],
        }
    }
}

impl Names for OffsetFetchRequest {
    fn names(&self) -> Target<'_> {
        Target {
            topics: self
                .topics
                .iter()
                .flatten()
                .map(|topic| topic.name.as_str())
                .collect(),
            groups: vec![self.group_id.as_str()],
        }
    }
}

impl Names for FindCoordinatorRequest {
    fn names(&self) -> Target<'_> {
        Target {
            groups: self
                .coordinator_keys
                .iter()
                .chain([&self.key])
                .map(|key| key.as_str())
                .collect(),
            ..Target::default()
        }
    }
}

impl Names for JoinGroupRequest {
    fn names(&self) -> Target<'_> {
        Target {
            groups: vec![self.group_id.as_str()],
            ..Target::default()
        }
    }
}

impl Names for HeartbeatRequest {
    fn names(&self) -> Target<'_> {
        Target {
            groups: vec![self.group_id.as_str()],
            ..Target::default()
        }
    }
}

impl Names for LeaveGroupRequest {
    fn names(&self) -> Target<'_> {
        Target {
            groups: vec![self.group_id.as_str()],
            ..Target::default()
        }
    }
}

impl Names for SyncGroupRequest {
    fn names(&self) -> Target<'_> {
        Target {
            groups: vec![self.group_id.as_str()],
            ..Target::default()
        }
    }
}

impl Names for AddOffsetsToTxnRequest {
    fn names(&self) -> Target<'_> {
        Target {
            groups: vec![self.group_id.as_str()],
            ..Target::default()
        }
    }
}

impl Names for DescribeGroupsRequest {
    fn names(&self) -> Target<'_> {
        Target {
            groups: self.groups.iter().map(|group| group.as_str()).collect(),
            ..Target::default()
        }
    }
}

impl Names for DeleteGroupsRequest {
    fn names(&self) -> Target<'_> {
        Target {
            groups: self
                .groups_names
                .iter()
                .map(|group| group.as_str())
                .collect(),
            ..Target::default()
        }
    }
}

impl Names for CreateTopicsRequest {
    fn names(&self) -> Target<'_> {
        Target {
            topics: self
                .topics
                .iter()
                .map(|topic| topic.name.as_str())
                .collect(),
            ..Target::default()
        }
    }
}

impl Names for DeleteTopicsRequest {
    fn names(&self) -> Target<'_> {
        Target {
            topics: self.topic_names.iter().map(|name| name.as_str()).collect(),
            ..Target::default()
        }
    }
}

impl Names for CreatePartitionsRequest {
    fn names(&self) -> Target<'_> {
        Target {
            topics: self
                .topics
                .iter()
                .map(|topic| topic.name.as_str())
                .collect(),
            ..Target::default()
        }
    }
}

impl Names for AddPartitionsToTxnRequest {
    fn names(&self) -> Target<'_> {
        Target {
            topics: self
                .v3_and_below_topics
                .iter()
                .map(|topic| topic.name.as_str())
                .collect(),
            ..Target::default()
        }
    }
}

impl Names for TxnOffsetCommitRequest {
    fn names(&self) -> Target<'_> {
        Target {
            topics: self
                .topics
                .iter()
                .map(|topic| topic.name.as_str())
                .collect(),
            groups: vec![self.group_id.as_str()],
        }
    }
}

impl Names for DeleteRecordsRequest {
    fn names(&self) -> Target<'_> {
        Target {
            topics: self
                .topics
                .iter()
                .map(|topic| topic.name.as_str())
                .collect(),
            ..Target::default()
        }
    }
}

impl Names for ConsumerGroupHeartbeatRequest {
    fn names(&self) -> Target<'_> {
        Target {
            groups: vec![self.group_id.as_str()],
            ..Target::default()
        }
    }
}
