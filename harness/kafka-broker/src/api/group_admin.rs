//! What an operator asks about groups: ListGroups, DescribeGroups, DeleteGroups.

use super::{Call, code, text};
use crate::cluster::Models;
use crate::groups::Group;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    GroupId, ListGroupsRequest, ListGroupsResponse,
};

pub(super) fn list_groups(call: &mut Call<'_>, request: ListGroupsRequest) -> ListGroupsResponse {
    let models = call.cluster.models();
    let wanted = |group: &Group| {
        let filter = &request.states_filter;
        filter.is_empty()
            || filter
                .iter()
                .any(|state| state.as_str() == group.state.as_str())
    };
    let groups = models
        .groups
        .iter()
        .filter(|(_, group)| wanted(group))
        .map(|(name, group)| {
            let listed = ListedGroup::default()
                .with_group_id(GroupId(text(name)))
                .with_protocol_type(group.protocol_type.clone());
            if call.version >= 4 {
                listed.with_group_state(text(group.state.as_str()))
            } else {
                listed
            }
        });
    ListGroupsResponse::default().with_groups(groups.collect())
}

pub(super) fn describe_groups(
    call: &mut Call<'_>,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let models = call.cluster.models();
    let groups = request.groups.iter().map(|name| {
        let described = DescribedGroup::default().with_group_id(name.clone());
        match models.groups.get(name) {
            None => described.with_group_state(text("Dead")),
            Some(group) => described
                .with_group_state(text(group.state.as_str()))
                .with_protocol_type(group.protocol_type.clone())
                .with_protocol_data(group.protocol.clone())
                .with_members(members(call.version, group)),
        }
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn members(version: i16, group: &Group) -> Vec<DescribedGroupMember> {
    let describe = |member: &crate::groups::Member| {
        DescribedGroupMember::default()
            .with_member_id(member.id.clone())
            .with_group_instance_id(member.instance_id.clone().filter(|_| version >= 4))
            .with_client_id(text(&member.client_id))
            .with_client_host(text(&member.client_host))
            .with_member_metadata(
                member
                    .subscription(&group.protocol)
                    .cloned()
                    .unwrap_or_default(),
            )
            .with_member_assignment(member.assignment.clone())
    };
    group.members.iter().map(describe).collect()
}

pub(super) fn delete_groups(
    call: &mut Call<'_>,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let results = call.change(|models| {
        let delete = |name: &GroupId| {
            let deleted = delete(models, name);
            DeletableGroupResult::default()
                .with_group_id(name.clone())
                .with_error_code(code(&deleted))
        };
        request.groups_names.iter().map(delete).collect()
    });
    DeleteGroupsResponse::default().with_results(results)
}

fn delete(models: &mut Models, name: &str) -> Result<(), ResponseError> {
    match models.groups.get(name) {
        None => Err(ResponseError::GroupIdNotFound),
        Some(group) if !group.members.is_empty() => Err(ResponseError::NonEmptyGroup),
        Some(_) => {
            models.groups.remove(name);
            Ok(())
        }
    }
}
