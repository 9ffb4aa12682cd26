//! Transactional producers.

use crate::world::{LIMIT, World, poll, same, texts};
use anyhow::Result;
use rdkafka::Offset;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{FutureProducer, Producer};

const CAREFUL: [(&str, &str); 1] = [("isolation.level", "read_committed")];
const HASTY: [(&str, &str); 1] = [("isolation.level", "read_uncommitted")];

fn in_transaction(
    world: &World,
    producer: &FutureProducer,
    value: &str,
    commits: bool,
) -> Result<()> {
    producer.begin_transaction()?;
    world.send(producer, 0, value)?;
    if commits {
        producer.commit_transaction(LIMIT)?;
    } else {
        producer.abort_transaction(LIMIT)?;
    }
    Ok(())
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

pub(crate) fn commit(world: &World) -> Result<()> {
    world.topic(1, &[])?;
    let producer = world.transactional()?;
    producer.begin_transaction()?;
    world.send(&producer, 0, "one")?;
    // That the hasty reader has it shows that it could be read.
    world.read(&world.reader(&HASTY)?, 1)?;
    let careful = world.reader(&CAREFUL)?;
    let mut records = Vec::new();
    for _ in 0..3 {
        poll(&careful, &mut records)?;
    }
    same(records.len(), 0, "records before the commit")?;
    world.send(&producer, 0, "two")?;
    producer.commit_transaction(LIMIT)?;
    let records = world.read(&careful, 2)?;
    same(
        texts(&records),
        strings(&["one", "two"]),
        "values after the commit",
    )
}

pub(crate) fn abort(world: &World) -> Result<()> {
    world.topic(1, &[])?;
    let producer = world.transactional()?;
    in_transaction(world, &producer, "aborted", false)?;
    in_transaction(world, &producer, "committed", true)?;
    let careful = world.read(&world.reader(&CAREFUL)?, 1)?;
    same(texts(&careful), strings(&["committed"]), "read committed")?;
    let hasty = world.read(&world.reader(&HASTY)?, 2)?;
    same(
        texts(&hasty),
        strings(&["aborted", "committed"]),
        "read uncommitted",
    )
}

pub(crate) fn offsets(world: &World) -> Result<()> {
    world.topic(1, &[])?;
    world.send_numbered(&world.producer(&[])?, 0, 0..5)?;
    let member = world.member(&[])?;
    world.read(&member, 5)?;
    let producer = world.transactional()?;
    for (offset, commits) in [(2, false), (4, true)] {
        let metadata = member
            .group_metadata()
            .ok_or_else(|| anyhow::anyhow!("the member has no metadata"))?;
        producer.begin_transaction()?;
        producer.send_offsets_to_transaction(&world.at(offset)?, &metadata, LIMIT)?;
        if commits {
            producer.commit_transaction(LIMIT)?;
        } else {
            producer.abort_transaction(LIMIT)?;
            same(
                world.committed(&member)?,
                Offset::Invalid,
                "committed by an aborted transaction",
            )?;
        }
    }
    // Kafka answers the commit before the group has the offsets.
    world.until("committed by the transaction", || {
        Ok(world.committed(&member)? == Offset::Offset(4))
    })
}

pub(crate) fn zombie_fenced(world: &World) -> Result<()> {
    world.topic(1, &[])?;
    let zombie = world.transactional()?;
    zombie.begin_transaction()?;
    world.send(&zombie, 0, "of the zombie")?;
    let heir = world.transactional()?;
    let fenced = zombie.commit_transaction(LIMIT).err();
    same(
        fenced.and_then(|error| error.rdkafka_error_code()),
        Some(RDKafkaErrorCode::Fenced),
        "error of the zombie's commit",
    )?;
    in_transaction(world, &heir, "of the heir", true)?;
    let records = world.read(&world.reader(&CAREFUL)?, 1)?;
    same(texts(&records), strings(&["of the heir"]), "values")
}
