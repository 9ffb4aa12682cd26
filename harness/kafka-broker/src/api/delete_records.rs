//! DeleteRecords.

use super::{Call, code};
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

pub(super) fn delete_records(
    call: &mut Call<'_>,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let topics = call.change(|models| {
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|wanted| {
                let (index, offset) = (wanted.partition_index, wanted.offset);
                let deleted = models.topics.delete_records(&topic.name, index, offset);
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(index)
                    .with_error_code(code(&deleted))
                    .with_low_watermark(deleted.unwrap_or(-1))
            });
            DeleteRecordsTopicResult::default()
                .with_partitions(partitions.collect())
                .with_name(topic.name.clone())
        });
        topics.collect()
    });
    DeleteRecordsResponse::default().with_topics(topics)
}
