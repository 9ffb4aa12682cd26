//! Consumer groups.

use crate::world::{LIMIT, World, numbers, poll, same, texts};
use anyhow::Result;
use rdkafka::Offset;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;

pub(crate) fn join_and_leave(world: &World) -> Result<()> {
    world.topic(4, &[])?;
    let first = world.member(&[])?;
    world.shares(&[&first], &[4])?;
    let second = world.member(&[])?;
    world.shares(&[&first, &second], &[2, 2])?;
    let (one, other) = (first.assignment()?, second.assignment()?);
    let shared = one.elements().into_iter().any(|mine| {
        other
            .elements()
            .iter()
            .any(|theirs| mine.partition() == theirs.partition())
    });
    same(shared, false, "a partition has two members")?;
    second.unsubscribe();
    world.shares(&[&first, &second], &[4, 0])?;
    // Dropped this soon, the Rust wrapper waits for ever for the client to close, whatever the broker is.
    std::mem::forget(second);
    Ok(())
}

pub(crate) fn rebalance(world: &World) -> Result<()> {
    world.topic(4, &[])?;
    let producer = world.producer(&[])?;
    let first = world.member(&[])?;
    world.shares(&[&first], &[4])?;
    for partition in 0..4 {
        world.send_numbered(&producer, partition, 0..10)?;
    }
    let mut records = world.read(&first, 40)?;
    first.commit_consumer_state(CommitMode::Sync)?;
    let second = world.member(&[])?;
    world.shares(&[&first, &second], &[2, 2])?;
    for partition in 0..4 {
        world.send_numbered(&producer, partition, 10..20)?;
    }
    world.until("80 records", || {
        poll(&first, &mut records)?;
        poll(&second, &mut records)?;
        Ok(records.len() >= 80)
    })?;
    let mut seen: Vec<(i32, i64)> = records
        .iter()
        .map(|record| (record.partition, record.offset))
        .collect();
    seen.sort_unstable();
    let each = |partition| (0..20).map(move |offset| (partition, offset));
    same(seen, (0..4).flat_map(each).collect(), "records seen")
}

pub(crate) fn static_member_returns(world: &World) -> Result<()> {
    world.topic(2, &[])?;
    let one = world.member(&[("group.instance.id", "one")])?;
    let two = world.member(&[("group.instance.id", "two")])?;
    world.shares(&[&one, &two], &[1, 1])?;
    let before = one.assignment()?.elements()[0].partition();
    let rebalances = two.context().assigned();
    // A static member that is closed does not leave: it is expected back.
    drop(one);
    let again = world.member(&[("group.instance.id", "one")])?;
    world.shares(&[&again, &two], &[1, 1])?;
    let after = again.assignment()?.elements()[0].partition();
    same(after, before, "partition of the member that came back")?;
    same(
        two.context().assigned(),
        rebalances,
        "assignments of the other member",
    )
}

pub(crate) fn static_member_fenced(world: &World) -> Result<()> {
    world.topic(1, &[])?;
    let older = world.member(&[("group.instance.id", "one")])?;
    world.shares(&[&older], &[1])?;
    let newer = world.member(&[("group.instance.id", "one")])?;
    world.until("the older member is fenced", || {
        // Whatever the polls say, it is the fatal error that counts.
        let _ = older.poll(LIMIT / 100);
        let _ = newer.poll(LIMIT / 100);
        Ok(older.client().fatal_error().is_some())
    })?;
    let fatal = older.client().fatal_error().map(|(code, _)| code);
    // A consumer with a fatal error may never close, and the Rust wrapper waits for it.
    std::mem::forget(older);
    same(fatal, Some(RDKafkaErrorCode::FencedInstanceId), "error")
}

pub(crate) fn commit_and_lag(world: &World) -> Result<()> {
    world.topic(1, &[])?;
    world.send_numbered(&world.producer(&[])?, 0, 0..15)?;
    let first = world.member(&[])?;
    world.read(&first, 10)?;
    same(
        world.committed(&first)?,
        Offset::Invalid,
        "committed before the first commit",
    )?;
    let half_way = world.at(10)?;
    half_way.elements()[0].set_metadata("half way");
    first.commit(&half_way, CommitMode::Sync)?;
    same(world.committed(&first)?, Offset::Offset(10), "committed")?;
    let committed = first.committed_offsets(world.at(0)?, LIMIT)?;
    same(
        committed.elements()[0].metadata(),
        "half way",
        "metadata of the commit",
    )?;
    let (_, end) = first.fetch_watermarks(&world.name, 0, LIMIT)?;
    same(end - 10, 5, "lag")?;
    drop(first);
    let second = world.member(&[])?;
    let records = world.read(&second, 5)?;
    same(texts(&records), numbers(10..15), "values after the commit")
}
