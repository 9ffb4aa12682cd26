//! Rules of the group protocol that no client shows on demand.

use super::*;
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;
use std::time::Duration;
use tokio::sync::oneshot::Receiver;

const DELAY: Duration = Duration::from_millis(100);
const SESSION: Duration = Duration::from_secs(6);
const REBALANCE: Duration = Duration::from_secs(60);

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn request(member: &str, strategies: &[&str]) -> JoinRequest {
    JoinRequest {
        member_id: text(member),
        instance_id: None,
        client_id: "client".into(),
        client_host: "127.0.0.1".into(),
        listener: "service".into(),
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        protocol_type: text("consumer"),
        protocols: strategies
            .iter()
            .map(|name| (text(name), Bytes::new()))
            .collect(),
        knows_member_id_required: false,
        max_members: 10,
    }
}

type Waiting = Receiver<Result<Joined, JoinRefused>>;

fn join(group: &mut Group, new_id: &str, now: Instant) -> Waiting {
    group.join(&request("", &["range"]), text(new_id), DELAY, now)
}

fn rejoin(group: &mut Group, id: &str, now: Instant) -> Waiting {
    group.join(&request(id, &["range"]), text("unused"), DELAY, now)
}

fn joined(waiting: &mut Waiting) -> Joined {
    waiting.try_recv().expect("an answer").expect("joined")
}

fn refused(waiting: &mut Waiting) -> ResponseError {
    waiting
        .try_recv()
        .expect("an answer")
        .expect_err("refused")
        .error
}

fn sync(
    group: &mut Group,
    id: &str,
    now: Instant,
) -> Result<Receiver<Result<Bytes, ResponseError>>, ResponseError> {
    let assign = |member: &Member| {
        (
            member.id.clone(),
            Bytes::from(format!("for {}", member.id).into_bytes()),
        )
    };
    let assignments = group.members.iter().map(assign).collect();
    let generation = group.generation;
    group.sync(
        SyncRequest {
            member_id: text(id),
            instance_id: None,
            generation,
            protocol_type: None,
            protocol: None,
            assignments,
        },
        now,
    )
}

fn committer(id: &StrBytes, generation: i32) -> Committer<'_> {
    Committer {
        member_id: id,
        instance_id: None,
        generation,
    }
}

/// A stable group of `a`, the leader, and `b`.
fn stable_pair(now: Instant) -> Group {
    let mut group = Group::default();
    let (mut a, mut b) = (join(&mut group, "a", now), join(&mut group, "b", now));
    group.advance(now + DELAY);
    assert_eq!(
        (joined(&mut a).members.len(), joined(&mut b).members.len()),
        (2, 0)
    );
    let mut follower = sync(&mut group, "b", now).expect("sync");
    assert!(follower.try_recv().is_err(), "the leader has not decided");
    sync(&mut group, "a", now).expect("sync");
    assert_eq!(follower.try_recv(), Ok(Ok(Bytes::from_static(b"for b"))));
    assert_eq!(group.state, GroupState::Stable);
    group
}

#[test]
fn the_first_rebalance_waits_for_further_members_and_no_longer() {
    let now = Instant::now();
    let mut group = Group::default();
    let mut a = join(&mut group, "a", now);
    let mut b = join(&mut group, "b", now + DELAY / 2);
    group.advance(now + DELAY);
    assert!(a.try_recv().is_err(), "the second join began the wait anew");
    assert_eq!(group.next_deadline(), Some(now + DELAY / 2 + DELAY));
    group.advance(now + DELAY / 2 + DELAY);
    assert_eq!(
        (joined(&mut a).generation, joined(&mut b).generation),
        (1, 1)
    );
}

#[test]
fn a_member_commits_until_the_next_generation_is_formed() {
    let now = Instant::now();
    let mut group = stable_pair(now);
    let a = text("a");
    let _c = join(&mut group, "c", now);
    assert_eq!(group.state, GroupState::PreparingRebalance);
    assert_eq!(group.may_commit(committer(&a, 1), now), Ok(()));
    assert_eq!(
        group.heartbeat(&a, None, 1, now),
        Err(ResponseError::RebalanceInProgress)
    );
    let _a = rejoin(&mut group, "a", now);
    let _b = rejoin(&mut group, "b", now);
    assert_eq!(
        (group.state, group.generation),
        (GroupState::CompletingRebalance, 2)
    );
    assert_eq!(
        group.may_commit(committer(&a, 1), now),
        Err(ResponseError::IllegalGeneration)
    );
    assert_eq!(
        group.may_commit(committer(&a, 2), now),
        Err(ResponseError::RebalanceInProgress)
    );
    assert_eq!(group.heartbeat(&a, None, 2, now), Ok(()));
}

#[test]
fn only_outsiders_of_an_empty_group_commit_without_a_generation() {
    let now = Instant::now();
    let (nobody, a) = (StrBytes::new(), text("a"));
    assert_eq!(
        Group::default().may_commit(committer(&nobody, -1), now),
        Ok(())
    );
    let mut group = stable_pair(now);
    assert_eq!(
        group.may_commit(committer(&nobody, -1), now),
        Err(ResponseError::UnknownMemberId)
    );
    assert_eq!(
        group.may_commit(committer(&a, -1), now),
        Err(ResponseError::IllegalGeneration)
    );
    assert_eq!(
        group.may_commit(committer(&text("z"), 1), now),
        Err(ResponseError::UnknownMemberId)
    );
}

#[test]
fn a_silent_member_is_expelled_and_the_rest_rebalance() {
    let now = Instant::now();
    let mut group = stable_pair(now);
    let later = now + SESSION / 2;
    group
        .heartbeat(&text("a"), None, 1, later)
        .expect("heartbeat");
    assert_eq!(group.next_deadline(), Some(now + SESSION));
    assert_eq!(group.expel_overdue(now + SESSION), [text("b")]);
    assert_eq!(group.state, GroupState::PreparingRebalance);
    let mut a = rejoin(&mut group, "a", now + SESSION);
    assert_eq!(joined(&mut a).members.len(), 1);
    assert_eq!(
        refused(&mut rejoin(&mut group, "b", now + SESSION)),
        ResponseError::UnknownMemberId
    );
}

#[test]
fn who_does_not_rejoin_in_time_is_out_and_another_leads() {
    let now = Instant::now();
    let mut group = stable_pair(now);
    let mut c = join(&mut group, "c", now);
    let mut b = rejoin(&mut group, "b", now);
    group.advance(now + REBALANCE - DELAY);
    assert!(c.try_recv().is_err());
    group.advance(now + REBALANCE);
    assert_eq!(joined(&mut b).leader, text("b"));
    assert_eq!(joined(&mut c).members.len(), 0);
    assert_eq!(group.members.len(), 2);
}

#[test]
fn a_leader_that_never_assigns_is_out_after_the_rebalance_timeout() {
    let now = Instant::now();
    let mut group = Group::default();
    let _waiting = (join(&mut group, "a", now), join(&mut group, "b", now));
    group.advance(now + DELAY);
    let mut b = sync(&mut group, "b", now).expect("sync");
    group.advance(now + DELAY + REBALANCE);
    assert_eq!(b.try_recv(), Ok(Err(ResponseError::RebalanceInProgress)));
    assert_eq!(
        (group.state, group.members.len()),
        (GroupState::PreparingRebalance, 1)
    );
}

#[test]
fn a_repeated_join_gets_the_same_answer_unless_the_leader_or_a_change_asks() {
    let now = Instant::now();
    let mut group = stable_pair(now);
    assert_eq!(joined(&mut rejoin(&mut group, "b", now)).generation, 1);
    assert_eq!(group.state, GroupState::Stable);
    let mut changed = group.join(
        &request("b", &["range", "roundrobin"]),
        text(""),
        DELAY,
        now,
    );
    assert!(changed.try_recv().is_err());
    assert_eq!(group.state, GroupState::PreparingRebalance);
    let mut group = stable_pair(now);
    let _leader = rejoin(&mut group, "a", now);
    assert_eq!(group.state, GroupState::PreparingRebalance);
}

#[test]
fn a_join_sent_again_on_another_connection_replaces_the_first() {
    let now = Instant::now();
    let mut group = stable_pair(now);
    let _c = join(&mut group, "c", now);
    let mut first = rejoin(&mut group, "a", now);
    let mut second = rejoin(&mut group, "a", now);
    let _b = rejoin(&mut group, "b", now);
    assert!(first.try_recv().is_err());
    assert_eq!(joined(&mut second).generation, 2);
}

#[test]
fn a_dead_connection_does_not_stand_in_for_its_member() {
    let now = Instant::now();
    let mut group = stable_pair(now);
    let _c = join(&mut group, "c", now);
    drop(rejoin(&mut group, "b", now));
    let mut a = rejoin(&mut group, "a", now);
    assert!(a.try_recv().is_err(), "b has yet to join");
    group.expel_overdue(now + SESSION);
    assert_eq!(joined(&mut a).members.len(), 2);
}

#[test]
fn the_strategy_is_one_that_all_know_and_most_prefer() {
    let now = Instant::now();
    let mut group = Group::default();
    let prefer = |group: &mut Group, id: &str, strategies: &[&str]| {
        group.join(&request("", strategies), text(id), DELAY, now)
    };
    let mut a = prefer(&mut group, "a", &["sticky", "range", "roundrobin"]);
    let _b = prefer(&mut group, "b", &["roundrobin", "range"]);
    let _c = prefer(&mut group, "c", &["roundrobin", "range", "sticky"]);
    group.advance(now + DELAY);
    assert_eq!(joined(&mut a).protocol, text("roundrobin"));
    let mut stranger = prefer(&mut group, "d", &["sticky"]);
    assert_eq!(
        refused(&mut stranger),
        ResponseError::InconsistentGroupProtocol
    );
}

#[test]
fn an_id_given_out_must_be_used_in_time_and_holds_a_rebalance_back() {
    let now = Instant::now();
    let mut group = stable_pair(now);
    let asks = JoinRequest {
        knows_member_id_required: true,
        ..request("", &["range"])
    };
    let mut c = group.join(&asks, text("c"), DELAY, now);
    assert_eq!(refused(&mut c), ResponseError::MemberIdRequired);
    assert_eq!(
        group.state,
        GroupState::Stable,
        "an id alone disturbs nobody"
    );
    let _a = rejoin(&mut group, "a", now);
    let _b = rejoin(&mut group, "b", now);
    assert_eq!(group.state, GroupState::PreparingRebalance, "c is expected");
    let mut c = rejoin(&mut group, "c", now);
    assert_eq!(joined(&mut c).generation, 2);
    let mut d = group.join(&asks, text("d"), DELAY, now);
    assert_eq!(refused(&mut d), ResponseError::MemberIdRequired);
    group.expel_overdue(now + SESSION);
    assert_eq!(
        refused(&mut rejoin(&mut group, "d", now + SESSION)),
        ResponseError::UnknownMemberId
    );
}

#[test]
fn a_static_member_takes_its_old_place_and_fences_its_former_self() {
    let now = Instant::now();
    let mut group = Group::default();
    let named = JoinRequest {
        instance_id: Some(text("one")),
        ..request("", &["range"])
    };
    let mut first = group.join(&named, text("old"), DELAY, now);
    group.advance(now + DELAY);
    joined(&mut first);
    sync(&mut group, "old", now).expect("sync");
    let mut second = group.join(&named, text("new"), DELAY, now);
    let answer = joined(&mut second);
    assert_eq!(
        (answer.generation, answer.member_id, answer.leader),
        (1, text("new"), text("old"))
    );
    assert_eq!(group.state, GroupState::Stable);
    let one = text("one");
    assert_eq!(
        group.heartbeat(&text("old"), Some(&one), 1, now),
        Err(ResponseError::FencedInstanceId)
    );
    assert_eq!(group.heartbeat(&text("new"), Some(&one), 1, now), Ok(()));
    let mut synced = sync(&mut group, "new", now).expect("sync");
    assert_eq!(synced.try_recv(), Ok(Ok(Bytes::from_static(b"for old"))));
}

#[test]
fn the_last_to_leave_empties_the_group_and_its_offsets_stay() {
    let now = Instant::now();
    let mut group = stable_pair(now);
    group.commit("orders", 0, Committed::new(5, None).expect("offset"));
    assert_eq!(group.leave(&text("a"), None, now), Ok(()));
    assert_eq!(group.state, GroupState::PreparingRebalance);
    assert_eq!(group.leave(&text("b"), None, now), Ok(()));
    assert_eq!(
        group.leave(&text("b"), None, now),
        Err(ResponseError::UnknownMemberId)
    );
    assert_eq!(
        (group.state, group.next_deadline()),
        (GroupState::Empty, None)
    );
    assert_eq!(group.offsets.len(), 1);
    assert_eq!(
        Committed::new(1, Some(text(&"x".repeat(5000)))),
        Err(ResponseError::OffsetMetadataTooLarge)
    );
}

#[test]
fn a_full_group_takes_nobody_new_but_its_members_again() {
    let now = Instant::now();
    let mut group = stable_pair(now);
    let full = JoinRequest {
        max_members: 2,
        ..request("", &["range"])
    };
    let mut third = group.join(&full, text("c"), DELAY, now);
    assert_eq!(refused(&mut third), ResponseError::GroupMaxSizeReached);
    let again = JoinRequest {
        member_id: text("b"),
        ..full
    };
    let mut follower = group.join(&again, text("unused"), DELAY, now);
    assert_eq!(joined(&mut follower).generation, 1);
}
