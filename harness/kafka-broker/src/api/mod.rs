//! One function per request: reads it, asks the models, writes the answer.

mod brokers;
mod configs;
mod delete_records;
mod fetch;
mod group_admin;
mod membership;
mod names;
mod offsets;
mod produce;
mod topics;
mod transactions;

use crate::cluster::{Cluster, Models};
use crate::connection::{Ended, Session};
use crate::events::Origin;
use crate::faults::{FaultAction, Target};
use crate::listeners::Listener;
use crate::protocol::supports;
use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use names::Names;
use std::time::Duration;

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The answer is in the buffer.
    Encoded,
    /// The request wants none.
    None,
}

/// A request on its way through the broker.
pub(crate) struct Call<'a> {
    cluster: &'a Cluster,
    listener: &'a Listener,
    session: &'a mut Session,
    version: i16,
    client_id: &'a str,
    host: &'a str,
    /// The error code that a fault rule wants as the answer.
    injected: Option<i16>,
    /// For how long the answer asks the client to be quiet.
    throttle: Duration,
}

/// What a fault rule wants done once the request had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Afterwards {
    Answer,
    AnswerAfter(Duration),
    LoseAnswer,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        cluster: &'a Cluster,
        listener: &'a Listener,
        session: &'a mut Session,
        version: i16,
        client_id: &'a str,
        host: &'a str,
    ) -> Self {
        Self {
            cluster,
            listener,
            session,
            version,
            client_id,
            host,
            injected: None,
            throttle: Duration::ZERO,
        }
    }

    /// `Err` with the injected error, if there is one.
    fn spare(&self) -> Result<(), ResponseError> {
        match self.injected.and_then(ResponseError::try_from_code) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Changes the models on behalf of this client.
    fn change<T>(&self, change: impl FnOnce(&mut Models) -> T) -> T {
        self.cluster.change_for(|| Some(self.origin()), change)
    }

    fn origin(&self) -> Origin {
        Origin {
            listener: self.listener.name().to_owned(),
            client_id: self.client_id.to_owned(),
        }
    }

    fn throttle_ms(&self) -> i32 {
        i32::try_from(self.throttle.as_millis()).unwrap_or(i32::MAX)
    }

    fn strike(&mut self, api: ApiKey, target: &Target<'_>) -> Result<Afterwards, Ended> {
        match self
            .cluster
            .faults
            .strike(api, self.listener.name(), target)
        {
            None => {}
            Some(FaultAction::Error(code)) => self.injected = Some(code),
            Some(FaultAction::Throttle(time)) => {
                self.throttle = time;
                self.session.muted_for = time;
            }
            Some(FaultAction::Delay(time)) => return Ok(Afterwards::AnswerAfter(time)),
            Some(FaultAction::LoseAnswer) => return Ok(Afterwards::LoseAnswer),
            Some(FaultAction::Refuse) => {
                return Err(Ended::quiet(format!("a fault rule refused {api:?}")));
            }
        }
        Ok(Afterwards::Answer)
    }

    /// Reads a request and lets the fault rules see it.
    fn read<Q: Decodable + Names>(
        &mut self,
        api: ApiKey,
        body: &mut Bytes,
    ) -> Result<(Q, Afterwards), Ended> {
        let request = Q::decode(body, self.version).map_err(|error| {
            Ended::hostile(format!("{api:?} version {}: {error}", self.version))
        })?;
        let afterwards = if self.cluster.faults.is_empty() {
            Afterwards::Answer
        } else {
            self.strike(api, &request.names())?
        };
        Ok((request, afterwards))
    }

    async fn write<A: Encodable>(
        &self,
        api: ApiKey,
        answer: A,
        afterwards: Afterwards,
        out: &mut BytesMut,
    ) -> Result<Answer, Ended> {
        carry_out(api, afterwards).await?;
        let encoded = answer.encode(out, self.version);
        encoded
            .map_err(|error| Ended::Defect(format!("{api:?} version {}: {error}", self.version)))?;
        Ok(Answer::Encoded)
    }
}

async fn carry_out(api: ApiKey, afterwards: Afterwards) -> Result<(), Ended> {
    match afterwards {
        Afterwards::Answer => {}
        Afterwards::AnswerAfter(time) => tokio::time::sleep(time).await,
        Afterwards::LoseAnswer => {
            return Err(Ended::quiet(format!(
                "a fault rule lost the answer to {api:?}"
            )));
        }
    }
    Ok(())
}

/// Answers one request whose shape was checked.
pub(crate) async fn answer(
    mut call: Call<'_>,
    api: ApiKey,
    mut body: Bytes,
    out: &mut BytesMut,
) -> Result<Answer, Ended> {
    /// Reads the request, calls the function, writes its answer.
    macro_rules! with {
        ($function:path) => {{
            let (request, afterwards) = call.read(api, &mut body)?;
            let answer = $function(&mut call, request);
            call.write(api, answer, afterwards, out).await
        }};
        (waiting $function:path) => {{
            let (request, afterwards) = call.read(api, &mut body)?;
            let answer = $function(&mut call, request).await?;
            call.write(api, answer, afterwards, out).await
        }};
    }
    match api {
        ApiKey::ApiVersions if !supports(api, call.version) => {
            let unsupported = brokers::api_versions_unsupported(&mut call);
            call.version = 0;
            call.write(api, unsupported, Afterwards::Answer, out).await
        }
        ApiKey::ApiVersions => with!(brokers::api_versions),
        ApiKey::Metadata => with!(brokers::metadata),
        ApiKey::FindCoordinator => with!(brokers::find_coordinator),
        ApiKey::DescribeCluster => with!(brokers::describe_cluster),
        ApiKey::Produce => {
            let (request, afterwards) = call.read(api, &mut body)?;
            match produce::produce(&mut call, request)? {
                Some(answer) => call.write(api, answer, afterwards, out).await,
                None => carry_out(api, afterwards).await.map(|()| Answer::None),
            }
        }
        ApiKey::Fetch => with!(waiting fetch::fetch),
        ApiKey::ListOffsets => with!(offsets::list_offsets),
        ApiKey::JoinGroup => with!(waiting membership::join_group),
        ApiKey::SyncGroup => with!(waiting membership::sync_group),
        ApiKey::Heartbeat => with!(membership::heartbeat),
        ApiKey::LeaveGroup => with!(membership::leave_group),
        ApiKey::ConsumerGroupHeartbeat => with!(membership::consumer_group_heartbeat),
        ApiKey::OffsetCommit => with!(offsets::offset_commit),
        ApiKey::OffsetFetch => with!(offsets::offset_fetch),
        ApiKey::InitProducerId => with!(transactions::init_producer_id),
        ApiKey::AddPartitionsToTxn => with!(transactions::add_partitions),
        ApiKey::AddOffsetsToTxn => with!(transactions::add_offsets),
        ApiKey::TxnOffsetCommit => with!(transactions::commit_offsets),
        ApiKey::EndTxn => with!(transactions::end_transaction),
        ApiKey::CreateTopics => with!(topics::create_topics),
        ApiKey::DeleteTopics => with!(topics::delete_topics),
        ApiKey::CreatePartitions => with!(topics::create_partitions),
        ApiKey::DeleteRecords => with!(delete_records::delete_records),
        ApiKey::DescribeConfigs => with!(configs::describe_configs),
        ApiKey::AlterConfigs => with!(configs::alter_configs),
        ApiKey::IncrementalAlterConfigs => with!(configs::incremental_alter_configs),
        ApiKey::ListGroups => with!(group_admin::list_groups),
        ApiKey::DescribeGroups => with!(group_admin::describe_groups),
        ApiKey::DeleteGroups => with!(group_admin::delete_groups),
        other => Err(Ended::hostile(format!("{other:?} is not answered"))),
    }
}

/// The error code of a result; 0 is success.
fn code<T>(result: &Result<T, ResponseError>) -> i16 {
    result.as_ref().err().map_or(0, ResponseError::code)
}

/// No leader was ever replaced here: whoever has heard of an epoch after the first is ahead of this broker.
fn check_leader_epoch(current_leader_epoch: i32) -> Result<(), ResponseError> {
    if current_leader_epoch > 0 {
        return Err(ResponseError::UnknownLeaderEpoch);
    }
    Ok(())
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
