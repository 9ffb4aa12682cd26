//! What an operator's client does.

use crate::world::{LIMIT, World, poll, same, texts};
use anyhow::{Context, Result, anyhow, ensure};
use rdkafka::admin::{
    AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::FutureRecord;
use rdkafka::{Offset, TopicPartitionList};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) fn create_and_delete_topics(world: &World) -> Result<()> {
    let topic = world.topic(3, &[])?;
    let admin = world.admin()?;
    let create = |name: &str, replicas, settings: &[(&str, &str)]| -> Result<_> {
        let mut new = NewTopic::new(name, 1, TopicReplication::Fixed(replicas));
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let created = world.wait(admin.create_topics([&new], &world.options()))?;
        Ok(created
            .into_iter()
            .next()
            .and_then(Result::err)
            .map(|(_, code)| code))
    };
    let unknown = [("no.such.setting", "1")];
    for (name, replicas, settings, code) in [
        (topic, 1, &[][..], RDKafkaErrorCode::TopicAlreadyExists),
        ("a/b", 1, &[], RDKafkaErrorCode::InvalidTopic),
        (
            &format!("{topic}-3"),
            3,
            &[],
            RDKafkaErrorCode::InvalidReplicationFactor,
        ),
        (
            &format!("{topic}-x"),
            1,
            &unknown,
            RDKafkaErrorCode::InvalidConfig,
        ),
    ] {
        same(create(name, replicas, settings)?, Some(code), name)?;
    }
    let delete = || -> Result<_> {
        let deleted = world.wait(admin.delete_topics(&[topic], &world.options()))?;
        Ok(deleted
            .into_iter()
            .next()
            .and_then(Result::err)
            .map(|(_, code)| code))
    };
    same(delete()?, None, "deleting it")?;
    world.until("the topic is gone", || Ok(world.partitions()?.is_none()))?;
    same(
        delete()?,
        Some(RDKafkaErrorCode::UnknownTopicOrPartition),
        "deleting it again",
    )
}

pub(crate) fn create_partitions(world: &World) -> Result<()> {
    let topic = world.topic(2, &[])?;
    let admin = world.admin()?;
    let grow = |count| -> Result<_> {
        let wanted = NewPartitions::new(topic, count);
        let grown = world.wait(admin.create_partitions([&wanted], &world.options()))?;
        Ok(grown
            .into_iter()
            .next()
            .and_then(Result::err)
            .map(|(_, code)| code))
    };
    same(grow(5)?, None, "growing to 5")?;
    world.until("5 partitions", || Ok(world.partitions()? == Some(5)))?;
    same(
        grow(3)?,
        Some(RDKafkaErrorCode::InvalidPartitions),
        "shrinking to 3",
    )?;
    world.send_numbered(&world.producer(&[])?, 4, 0..1)?;
    Ok(())
}

pub(crate) fn describe_and_alter_configs(world: &World) -> Result<()> {
    let topic = world.topic(1, &[("retention.ms", "3600000")])?;
    let admin = world.admin()?;
    // The value of a setting, and whether the topic has one of its own.
    let described = |name: &str| -> Result<(Option<String>, bool)> {
        let resource = ResourceSpecifier::Topic(topic);
        let answer = world.wait(admin.describe_configs([&resource], &world.options()))?;
        let answer = answer.into_iter().next().context("no answer")?;
        let settings = answer.map_err(|code| anyhow!("{code}"))?;
        let setting = settings.get(name).context("no such setting")?;
        let own = setting.source == ConfigSource::DynamicTopic;
        Ok((setting.value.clone(), own))
    };
    let alter = |name: &str, value: &str| -> Result<_> {
        let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(name, value);
        let answer = world.wait(admin.alter_configs([&change], &world.options()))?;
        Ok(answer
            .into_iter()
            .next()
            .and_then(Result::err)
            .map(|(_, code)| code))
    };
    let own = |value: &str| (Some(value.to_owned()), true);
    same(
        described("retention.ms")?,
        own("3600000"),
        "setting given at creation",
    )?;
    same(alter("max.message.bytes", "2000")?, None, "altering")?;
    world.until("altered setting", || {
        Ok(described("max.message.bytes")? == own("2000"))
    })?;
    // This request replaces all settings of a topic.
    let others = described("retention.ms")?.1;
    same(others, false, "the other setting is still the topic's own")?;
    // The Rust wrapper drops the error of this answer; that nothing was changed shows that it was refused.
    alter("no.such.setting", "1")?;
    let refused = described("max.message.bytes")?;
    same(refused, own("2000"), "setting after an unknown one was set")
}

pub(crate) fn delete_records(world: &World) -> Result<()> {
    world.topic(1, &[])?;
    world.send_numbered(&world.producer(&[])?, 0, 0..5)?;
    let admin = world.admin()?;
    let delete = |offset| -> Result<_> {
        let deleted = admin.delete_records(&world.at(offset)?, &world.options());
        let deleted = world.wait(deleted)?;
        let partition = &deleted.elements()[0];
        Ok((
            partition.offset(),
            partition
                .error()
                .err()
                .and_then(|error| error.rdkafka_error_code()),
        ))
    };
    same(delete(3)?, (Offset::Offset(3), None), "low watermark")?;
    let reader = world.reader(&[])?;
    same(
        reader.fetch_watermarks(&world.name, 0, LIMIT)?,
        (3, 5),
        "first and last offset",
    )?;
    let records = world.read(&reader, 2)?;
    same(
        texts(&records),
        vec!["3".to_owned(), "4".to_owned()],
        "values that are left",
    )?;
    same(
        delete(10)?.1,
        Some(RDKafkaErrorCode::OffsetOutOfRange),
        "deleting beyond the end",
    )
}

pub(crate) fn offsets_for_times(world: &World) -> Result<()> {
    let topic = world.topic(1, &[])?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let base = now - 60_000;
    let producer = world.producer(&[])?;
    for later in [1000, 2000, 3000] {
        let record: FutureRecord<'_, (), str> = FutureRecord::to(topic)
            .payload("value")
            .timestamp(base + later);
        world
            .wait(producer.send(record, LIMIT))
            .map_err(|(error, _)| error)?;
    }
    let reader = world.reader(&[])?;
    for (later, wanted) in [
        (0, Offset::Offset(0)),
        (2000, Offset::Offset(1)),
        (2001, Offset::Offset(2)),
        (3001, Offset::End),
    ] {
        let mut times = TopicPartitionList::new();
        times.add_partition_offset(topic, 0, Offset::Offset(base + later))?;
        let found = reader.offsets_for_times(times, LIMIT)?;
        same(
            found.elements()[0].offset(),
            wanted,
            &format!("offset at {later} ms"),
        )?;
    }
    Ok(())
}

pub(crate) fn list_and_describe_groups(world: &World) -> Result<()> {
    world.topic(1, &[])?;
    let admin = world.admin()?;
    let member = world.member(&[("client.id", "worker")])?;
    world.shares(&[&member], &[1])?;
    let listed = || -> Result<bool> {
        let groups = admin.inner().fetch_group_list(None, LIMIT)?;
        Ok(groups
            .groups()
            .iter()
            .any(|group| group.name() == world.name))
    };
    let described = || -> Result<(String, Vec<String>)> {
        let groups = admin.inner().fetch_group_list(Some(&world.name), LIMIT)?;
        let group = groups.groups().first().context("no such group")?;
        let members = group.members().iter();
        let clients = members.map(|member| member.client_id().to_owned());
        Ok((group.state().to_owned(), clients.collect()))
    };
    ensure!(listed()?, "the group is not listed");
    let mut records = Vec::new();
    world.until("the group is stable with its member", || {
        poll(&member, &mut records)?;
        Ok(described()? == ("Stable".to_owned(), vec!["worker".to_owned()]))
    })?;
    drop(member);
    world.until("the group is empty", || {
        Ok(described()? == ("Empty".to_owned(), Vec::new()))
    })?;
    let deleted = world.wait(admin.delete_groups(&[world.name.as_str()], &world.options()))?;
    same(
        deleted.into_iter().next().and_then(Result::err),
        None,
        "deleting it",
    )?;
    world.until("the group is gone", || Ok(!listed()?))
}

pub(crate) fn describe_cluster(world: &World) -> Result<()> {
    let metadata = world.admin()?.inner().fetch_metadata(None, LIMIT)?;
    let brokers = metadata.brokers().iter();
    let addresses = brokers.map(|broker| format!("{}:{}", broker.host(), broker.port()));
    same(
        addresses.collect(),
        vec![world.bootstrap.clone()],
        "brokers",
    )
}
