"""The cases with aiokafka."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.structs import OffsetAndMetadata

from conformance import Differs, Suite, Unsupported, expect, same

suite = Suite("aiokafka")


class World:
    """Clients of one case; all are closed when it ends."""

    def __init__(self, bootstrap, case):
        self.bootstrap = bootstrap
        self.name = f"{suite.run}-{case}"
        self.closing = []

    async def admin(self):
        client = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        self.closing.append(client.close)
        await client.start()
        return client

    async def topic(self, partitions=1, **configs):
        settings = {key.replace("_", "."): value for key, value in configs.items()}
        admin = await self.admin()
        accepted(await admin.create_topics([NewTopic(self.name, partitions, 1, topic_configs=settings)]))

        async def known():
            found = await admin.describe_topics([self.name])
            return found[0]["error_code"] == 0 and len(found[0]["partitions"]) == partitions

        await wait_for(known, "the topic is known")
        return self.name

    async def producer(self, **settings):
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, **settings)
        self.closing.append(producer.stop)
        await producer.start()
        return producer

    async def consumer(self, group=None, listener=None, **settings):
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=6000,
            heartbeat_interval_ms=200,
            fetch_max_wait_ms=100,
            **settings,
        )
        self.closing.append(consumer.stop)
        if group:
            consumer.subscribe([self.name], listener=listener)
        await consumer.start()
        return consumer

    async def reader(self, **settings):
        """A consumer of partition 0 from the beginning, without a group."""
        consumer = await self.consumer(**settings)
        partition = TopicPartition(self.name, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        return consumer

    async def close(self):
        for close in reversed(self.closing):
            try:
                await asyncio.wait_for(close(), 10)
            except Exception:  # A producer that was fenced cannot be closed in peace, which is not the case's business.
                pass


def accepted(response):
    """Raises the first error of an answer about topics, which aiokafka hands out as it came."""
    for _, code, *_ in getattr(response, "topic_errors", None) or response.topic_error_codes:
        if code:
            raise errors.for_code(code)


async def wait_for(condition, what, limit_s=30):
    """Asks `condition` until it is true; it does its own waiting, such as a read of a consumer."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if await condition():
            return
    raise Differs(f"{what}: not within {limit_s} s")


async def poll(consumer, records):
    for batch in (await consumer.getmany(timeout_ms=200)).values():
        records.extend(batch)


async def read(consumer, count):
    """The next records, `count` of them."""
    records = []

    async def enough():
        await poll(consumer, records)
        return len(records) >= count

    await wait_for(enough, f"{count} records")
    return records


def values(records):
    return [record.value.decode() for record in records]


async def send_numbered(producer, topic, first, last, partition=0):
    sent = [await producer.send(topic, str(number).encode(), partition=partition) for number in range(first, last)]
    return [await future for future in sent]


async def refused(error, call):
    try:
        await call
    except error:
        return
    expect(False, f"no {error}")


@suite.case
async def produce_and_consume(world):
    topic = await world.topic()
    sent = await send_numbered(await world.producer(), topic, 0, 100)
    same([metadata.offset for metadata in sent], list(range(100)), "offsets of the acknowledgements")
    records = await read(await world.reader(), 100)
    same(values(records), [str(number) for number in range(100)], "values")
    same([record.offset for record in records], list(range(100)), "offsets")


@suite.case
async def keys_headers_and_nulls(world):
    topic = await world.topic()
    producer = await world.producer()
    headers = [("trace", b"\x00\xff"), ("trace", b""), ("empty", None)]
    await producer.send_and_wait(topic, b"value", key=b"key", headers=headers)
    await producer.send_and_wait(topic, None, key=b"tombstone")
    await producer.send_and_wait(topic, b"", key=b"")
    await producer.send_and_wait(topic, b"no key")
    records = await read(await world.reader(), 4)
    same(list(records[0].headers), headers, "headers")
    same([record.key for record in records], [b"key", b"tombstone", b"", None], "keys")
    same([record.value for record in records], [b"value", None, b"", b"no key"], "values")


@suite.case
async def compressed_records(world):
    topic = await world.topic()
    await send_numbered(await world.producer(compression_type="gzip", linger_ms=50), topic, 0, 200)
    records = await read(await world.reader(), 200)
    same(values(records), [str(number) for number in range(200)], "values")


@suite.case
async def idempotent_produce(world):
    topic = await world.topic()
    await send_numbered(await world.producer(enable_idempotence=True), topic, 0, 500)
    reader = await world.reader()
    same(values(await read(reader, 500)), [str(number) for number in range(500)], "values")
    partition = TopicPartition(topic, 0)
    same(await reader.end_offsets([partition]), {partition: 500}, "end offset")


@suite.case
async def message_too_large(world):
    topic = await world.topic(max_message_bytes="2000")
    producer = await world.producer()
    await refused(errors.MessageSizeTooLargeError, producer.send_and_wait(topic, b"x" * 5000))
    await producer.send_and_wait(topic, b"x" * 500)
    same(len(await read(await world.reader(), 1)), 1, "records")


class Counting(ConsumerRebalanceListener):
    """Counts how often partitions were assigned."""

    def __init__(self):
        self.assigned = 0

    def on_partitions_revoked(self, revoked):
        pass

    def on_partitions_assigned(self, assigned):
        self.assigned += 1


async def shares(consumers, wanted, records=None):
    """Waits until the consumers have so many partitions each."""

    async def settled():
        for consumer in consumers:
            await poll(consumer, records if records is not None else [])
        return [len(consumer.assignment()) for consumer in consumers] == wanted

    await wait_for(settled, f"assignments of {wanted} partitions")


@suite.case
async def group_join_and_leave(world):
    await world.topic(partitions=4)
    first = await world.consumer(world.name)
    await shares([first], [4])
    second = await world.consumer(world.name)
    await shares([first, second], [2, 2])
    same(len(first.assignment() | second.assignment()), 4, "partitions in all")
    await second.stop()
    await shares([first], [4])


@suite.case
async def group_rebalance(world):
    topic = await world.topic(partitions=4)
    producer = await world.producer()
    first, records = await world.consumer(world.name), []
    await shares([first], [4], records)
    for partition in range(4):
        await send_numbered(producer, topic, 0, 10, partition)

    async def all_read(consumers, count):
        async def enough():
            for consumer in consumers:
                await poll(consumer, records)
            return len(records) >= count

        await wait_for(enough, f"{count} records")

    await all_read([first], 40)
    await first.commit()
    second = await world.consumer(world.name)
    await shares([first, second], [2, 2], records)
    for partition in range(4):
        await send_numbered(producer, topic, 10, 20, partition)
    await all_read([first, second], 80)
    seen = sorted((record.partition, record.offset) for record in records)
    same(seen, [(partition, offset) for partition in range(4) for offset in range(20)], "records seen")


@suite.case
async def static_member_returns(world):
    await world.topic(partitions=2)
    counting = Counting()
    one = await world.consumer(world.name, group_instance_id="one")
    two = await world.consumer(world.name, listener=counting, group_instance_id="two")
    await shares([one, two], [1, 1])
    before, rebalances = one.assignment(), counting.assigned
    await one.stop()
    again = await world.consumer(world.name, group_instance_id="one")
    await shares([again, two], [1, 1])
    same(again.assignment(), before, "assignment of the member that came back")
    same(counting.assigned, rebalances, "rebalances of the other member")


@suite.case
async def static_member_fenced(world):
    # It joins again under the same instance id instead, so that two such members take the place from each other for ever.
    raise Unsupported("aiokafka does not know the error FENCED_INSTANCE_ID")


@suite.case
async def commit_and_lag(world):
    topic = await world.topic()
    partition = TopicPartition(topic, 0)
    await send_numbered(await world.producer(), topic, 0, 15)
    first = await world.consumer(world.name, max_poll_records=5)
    same(await first.committed(partition), None, "committed before the first commit")
    await read(first, 10)
    await first.commit({partition: OffsetAndMetadata(10, "half way")})
    same(await first.committed(partition), 10, "committed")
    lag = (await first.end_offsets([partition]))[partition] - await first.committed(partition)
    same(lag, 5, "lag")
    await first.stop()
    second = await world.consumer(world.name)
    same(values(await read(second, 5)), [str(number) for number in range(10, 15)], "values after the commit")


async def in_transaction(producer, topic, value, commits=True):
    await producer.begin_transaction()
    await producer.send_and_wait(topic, value, partition=0)
    if commits:
        await producer.commit_transaction()
    else:
        await producer.abort_transaction()


@suite.case
async def transaction_commit(world):
    topic = await world.topic()
    producer = await world.producer(transactional_id=world.name, transaction_timeout_ms=10000)
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"one", partition=0)
    reader, records = await world.reader(isolation_level="read_committed"), []
    for _ in range(3):
        await poll(reader, records)
    same(values(records), [], "values before the commit")
    await producer.send_and_wait(topic, b"two", partition=0)
    await producer.commit_transaction()
    same(values(await read(reader, 2)), ["one", "two"], "values after the commit")


@suite.case
async def transaction_abort(world):
    topic = await world.topic()
    producer = await world.producer(transactional_id=world.name, transaction_timeout_ms=10000)
    await in_transaction(producer, topic, b"aborted", commits=False)
    await in_transaction(producer, topic, b"committed")
    careful = await read(await world.reader(isolation_level="read_committed"), 1)
    same(values(careful), ["committed"], "read committed")
    hasty = await read(await world.reader(isolation_level="read_uncommitted"), 2)
    same(values(hasty), ["aborted", "committed"], "read uncommitted")


@suite.case
async def transaction_offsets(world):
    topic = await world.topic()
    partition = TopicPartition(topic, 0)
    await send_numbered(await world.producer(), topic, 0, 5)
    member = await world.consumer(world.name)
    await read(member, 5)
    producer = await world.producer(transactional_id=world.name, transaction_timeout_ms=10000)
    for offset, commits in [(2, False), (4, True)]:
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction({partition: offset}, world.name)
        if commits:
            await producer.commit_transaction()
        else:
            await producer.abort_transaction()
            same(await member.committed(partition), None, "committed by an aborted transaction")

    async def committed():
        return await member.committed(partition) == 4

    # Kafka answers the commit before the group has the offsets.
    await wait_for(committed, "committed by the transaction")


@suite.case
async def zombie_fenced(world):
    topic = await world.topic()
    zombie = await world.producer(transactional_id=world.name, transaction_timeout_ms=10000)
    await zombie.begin_transaction()
    await zombie.send_and_wait(topic, b"of the zombie", partition=0)
    heir = await world.producer(transactional_id=world.name, transaction_timeout_ms=10000)
    await refused((errors.ProducerFenced, errors.InvalidProducerEpoch), zombie.commit_transaction())
    await in_transaction(heir, topic, b"of the heir")
    reader = await world.reader(isolation_level="read_committed")
    same(values(await read(reader, 1)), ["of the heir"], "values")


@suite.case
async def create_and_delete_topics(world):
    topic = await world.topic(partitions=3)
    admin = await world.admin()

    async def create(name, replicas=1, **configs):
        accepted(await admin.create_topics([NewTopic(name, 1, replicas, topic_configs=configs)]))

    await refused(errors.TopicAlreadyExistsError, create(topic))
    await refused(errors.InvalidTopicError, create("a/b"))
    await refused(errors.InvalidReplicationFactorError, create(topic + "-3", replicas=3))
    await refused(errors.InvalidConfigurationError, create(topic + "-x", **{"no.such.setting": "1"}))
    expect(topic in await admin.list_topics(), "the topic is not listed")
    accepted(await admin.delete_topics([topic]))

    async def gone():
        return topic not in await admin.list_topics()

    await wait_for(gone, "the topic is gone")
    try:
        accepted(await admin.delete_topics([topic]))
        expect(False, "a topic is deleted twice")
    except errors.UnknownTopicOrPartitionError:
        pass


@suite.case
async def create_partitions(world):
    topic = await world.topic(partitions=2)
    admin = await world.admin()
    await admin.create_partitions({topic: NewPartitions(5)})

    async def grown():
        return len((await admin.describe_topics([topic]))[0]["partitions"]) == 5

    await wait_for(grown, "5 partitions")
    await refused(errors.InvalidPartitionsError, admin.create_partitions({topic: NewPartitions(3)}))
    sent = await send_numbered(await world.producer(), topic, 0, 1, partition=4)
    same(sent[0].partition, 4, "partition")


@suite.case
async def describe_and_alter_configs(world):
    topic = await world.topic(retention_ms="3600000")
    admin = await world.admin()

    async def described():
        answer = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        settings = answer[0].resources[0][4]
        return {setting[0]: (setting[1], setting[3]) for setting in settings}

    async def alter(**changes):
        answer = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, changes)])
        return answer[0].resources[0][0]

    # The second of each pair is the source: 1 is the topic itself.
    same((await described())["retention.ms"], ("3600000", 1), "setting given at creation")
    same(await alter(**{"max.message.bytes": "2000"}), 0, "error code")

    async def altered():
        return (await described())["max.message.bytes"] == ("2000", 1)

    await wait_for(altered, "altered setting")
    expect((await described())["retention.ms"][1] != 1, "altering did not replace the other setting")
    same(await alter(**{"no.such.setting": "1"}), 40, "error code of an unknown setting")


@suite.case
async def delete_records(world):
    topic = await world.topic()
    partition = TopicPartition(topic, 0)
    await send_numbered(await world.producer(), topic, 0, 5)
    admin = await world.admin()
    same(await admin.delete_records({partition: RecordsToDelete(3)}), {partition: 3}, "low watermark")
    reader = await world.reader()
    same(await reader.beginning_offsets([partition]), {partition: 3}, "first offset")
    same(values(await read(reader, 2)), ["3", "4"], "values that are left")
    await refused(errors.OffsetOutOfRangeError, admin.delete_records({partition: RecordsToDelete(10)}))


@suite.case
async def offsets_for_times(world):
    topic = await world.topic()
    partition = TopicPartition(topic, 0)
    base = int(time.time() * 1000) - 60_000
    producer = await world.producer()
    for later in (1000, 2000, 3000):
        await producer.send_and_wait(topic, b"value", timestamp_ms=base + later)
    reader = await world.reader()
    for later, expected in [(0, (0, base + 1000)), (2000, (1, base + 2000)), (2001, (2, base + 3000))]:
        found = (await reader.offsets_for_times({partition: base + later}))[partition]
        same((found.offset, found.timestamp), expected, f"offset and time at {later} ms")
    same(await reader.offsets_for_times({partition: base + 3001}), {partition: None}, "after the last record")


@suite.case
async def list_and_describe_groups(world):
    await world.topic()
    admin, member = await world.admin(), await world.consumer(world.name, client_id="worker")
    await shares([member], [1])
    listed = [group[0] for group in await admin.list_consumer_groups()]
    expect(world.name in listed, "the group is not listed")

    async def described():
        answer = await admin.describe_consumer_groups([world.name])
        _, _, state, _, _, members, *_ = answer[0].groups[0]
        return state, [one[1] if isinstance(one[1], str) and one[1] == "worker" else one[2] for one in members]

    async def stable():
        await poll(member, [])
        return await described() == ("Stable", ["worker"])

    await wait_for(stable, "the group is stable with its member")
    await member.stop()

    async def empty():
        return await described() == ("Empty", [])

    await wait_for(empty, "the group is empty")


@suite.case
async def describe_cluster(world):
    cluster = await (await world.admin()).describe_cluster()
    brokers = [(broker["host"], broker["port"]) for broker in cluster["brokers"]]
    host, port = world.bootstrap.rsplit(":", 1)
    same(brokers, [(host, int(port))], "brokers")
    expect(cluster["cluster_id"], "the cluster has no id")


def call(function, bootstrap):
    async def run():
        world = World(bootstrap, function.__name__)
        try:
            await function(world)
        finally:
            await world.close()

    asyncio.run(run())


if __name__ == "__main__":
    suite.main(call)
