//! The group protocol: JoinGroup, SyncGroup, Heartbeat, LeaveGroup; and the refusal of the newer one.

use super::{Call, code, text};
use crate::connection::Ended;
use crate::groups::{JoinRefused, JoinRequest, Joined, SyncRequest};
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, HeartbeatRequest,
    HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use std::time::{Duration, Instant};
use uuid::Uuid;

pub(super) async fn join_group(
    call: &mut Call<'_>,
    request: JoinGroupRequest,
) -> Result<JoinGroupResponse, Ended> {
    let member_id = request.member_id.clone();
    let waiting = check_join(call, &request).and_then(|(session_timeout, rebalance_timeout)| {
        let join = JoinRequest {
            member_id: request.member_id,
            instance_id: request.group_instance_id,
            client_id: call.client_id.to_owned(),
            client_host: call.host.to_owned(),
            listener: call.listener.name().to_owned(),
            session_timeout,
            rebalance_timeout,
            protocol_type: request.protocol_type,
            protocols: request
                .protocols
                .into_iter()
                .map(|protocol| (protocol.name, protocol.metadata))
                .collect(),
            knows_member_id_required: call.version >= 4,
            max_members: call.cluster.config.max_group_members,
        };
        let new_id = text(&format!("{}-{}", call.client_id, Uuid::new_v4()));
        let delay = call.cluster.config.initial_rebalance_delay;
        call.change(|models| {
            models
                .groups
                .check_room(&request.group_id, call.cluster.config.max_groups)?;
            let group = models.groups.get_or_create(&request.group_id);
            Ok(group.join(&join, new_id, delay, Instant::now()))
        })
    });
    let answer = match waiting {
        Err(error) => Err(JoinRefused { error, member_id }),
        // The reply is dropped when the member sends a further JoinGroup on another connection.
        Ok(waiting) => waiting
            .await
            .map_err(|_| Ended::quiet("the member joined on another connection"))?,
    };
    Ok(match answer {
        Ok(joined) => joined_answer(call.version, joined),
        Err(refused) => refused_answer(&refused),
    })
}

/// The session and rebalance timeouts, if the request may go on.
fn check_join(
    call: &Call<'_>,
    request: &JoinGroupRequest,
) -> Result<(Duration, Duration), ResponseError> {
    call.spare()?;
    if request.group_id.is_empty() {
        return Err(ResponseError::InvalidGroupId);
    }
    let config = &call.cluster.config;
    let milliseconds = |value: i32| Duration::from_millis(u64::try_from(value).unwrap_or(0));
    let session_timeout = milliseconds(request.session_timeout_ms);
    if !(config.min_session_timeout..=config.max_session_timeout).contains(&session_timeout) {
        return Err(ResponseError::InvalidSessionTimeout);
    }
    let rebalance_timeout = match call.version {
        0 => session_timeout,
        // A timeout of zero would end every rebalance before anybody could join it.
        _ => milliseconds(request.rebalance_timeout_ms).max(config.min_session_timeout),
    };
    Ok((session_timeout, rebalance_timeout))
}

fn joined_answer(version: i16, joined: Joined) -> JoinGroupResponse {
    let member = |(id, instance, subscription): (StrBytes, Option<StrBytes>, Bytes)| {
        JoinGroupResponseMember::default()
            .with_member_id(id)
            .with_group_instance_id(instance.filter(|_| version >= 5))
            .with_metadata(subscription)
    };
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type(Some(joined.protocol_type))
        .with_protocol_name(Some(joined.protocol))
        .with_leader(joined.leader)
        .with_member_id(joined.member_id)
        .with_members(joined.members.into_iter().map(member).collect())
}

fn refused_answer(refused: &JoinRefused) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(refused.error.code())
        .with_generation_id(-1)
        .with_protocol_name(Some(StrBytes::new()))
        .with_member_id(refused.member_id.clone())
}

pub(super) async fn sync_group(
    call: &mut Call<'_>,
    request: SyncGroupRequest,
) -> Result<SyncGroupResponse, Ended> {
    let (protocol_type, protocol) = (request.protocol_type.clone(), request.protocol_name.clone());
    let waiting = call.spare().and_then(|()| {
        let assignments = request.assignments.into_iter();
        let sync = SyncRequest {
            member_id: request.member_id,
            instance_id: request.group_instance_id,
            generation: request.generation_id,
            protocol_type: request.protocol_type,
            protocol: request.protocol_name,
            assignments: assignments
                .map(|assignment| (assignment.member_id, assignment.assignment))
                .collect(),
        };
        call.change(|models| {
            let group = models
                .groups
                .get_mut(&request.group_id)
                .ok_or(ResponseError::UnknownMemberId)?;
            group.sync(sync, Instant::now())
        })
    });
    let answer = match waiting {
        Err(error) => Err(error),
        Ok(waiting) => waiting
            .await
            .map_err(|_| Ended::quiet("the member synced on another connection"))?,
    };
    Ok(SyncGroupResponse::default()
        .with_error_code(code(&answer))
        .with_protocol_type(protocol_type)
        .with_protocol_name(protocol)
        .with_assignment(answer.unwrap_or_default()))
}

pub(super) fn heartbeat(call: &mut Call<'_>, request: HeartbeatRequest) -> HeartbeatResponse {
    let beaten = call.spare().and_then(|()| {
        // Not through `change`: a heartbeat only moves a deadline back, and nobody waits for it.
        let mut models = call.cluster.models();
        let group = models
            .groups
            .get_mut(&request.group_id)
            .ok_or(ResponseError::UnknownMemberId)?;
        let instance = request.group_instance_id.as_ref();
        group.heartbeat(
            &request.member_id,
            instance,
            request.generation_id,
            Instant::now(),
        )
    });
    HeartbeatResponse::default().with_error_code(code(&beaten))
}

pub(super) fn leave_group(call: &mut Call<'_>, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let leave = |id: &StrBytes, instance: Option<&StrBytes>| {
        call.change(|models| {
            let group = models
                .groups
                .get_mut(&request.group_id)
                .ok_or(ResponseError::UnknownMemberId)?;
            group.leave(id, instance, Instant::now())
        })
    };
    if call.version <= 2 {
        return LeaveGroupResponse::default()
            .with_error_code(code(&leave(&request.member_id, None)));
    }
    let members = request.members.iter().map(|member| {
        let left = leave(&member.member_id, member.group_instance_id.as_ref());
        MemberResponse::default()
            .with_member_id(member.member_id.clone())
            .with_group_instance_id(member.group_instance_id.clone())
            .with_error_code(code(&left))
    });
    LeaveGroupResponse::default().with_members(members.collect())
}

/// The newer consumer protocol (KIP-848) is refused in words that its clients understand.
pub(super) fn consumer_group_heartbeat(
    call: &mut Call<'_>,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    tracing::warn!(client_id = call.client_id, group = %request.group_id.as_str(), "the newer consumer protocol (KIP-848) was refused: set group.protocol=classic");
    ConsumerGroupHeartbeatResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_error_message(Some(StrBytes::from_static_str(
            "the consumer group protocol is not supported here: set group.protocol=classic",
        )))
        .with_member_id(Some(request.member_id))
}
