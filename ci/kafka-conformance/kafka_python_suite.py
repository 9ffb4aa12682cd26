"""The cases with kafka-python."""

import time
from concurrent.futures import ThreadPoolExecutor

from kafka import KafkaConsumer, KafkaProducer, TopicPartition, errors
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata

from conformance import Suite, expect, same, wait_for

suite = Suite("kafka-python")


class World:
    """Clients of one case; all are closed when it ends."""

    def __init__(self, bootstrap, case):
        self.bootstrap = bootstrap
        self.name = f"{suite.run}-{case}"
        self.clients = []

    def opened(self, client):
        self.clients.append(client)
        return client

    def admin(self):
        return self.opened(KafkaAdminClient(bootstrap_servers=self.bootstrap))

    def topic(self, partitions=1, **configs):
        settings = {key.replace("_", "."): value for key, value in configs.items()}
        options = {"num_partitions": partitions, "replication_factor": 1, "configs": settings}
        self.admin().create_topics({self.name: options}, wait_for_metadata=True)
        return self.name

    def producer(self, **settings):
        return self.opened(KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=0, **settings))

    def consumer(self, group=None, listener=None, **settings):
        consumer = self.opened(
            KafkaConsumer(
                bootstrap_servers=self.bootstrap,
                group_id=group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                session_timeout_ms=6000,
                heartbeat_interval_ms=200,
                fetch_max_wait_ms=100,
                **settings,
            )
        )
        if listener or group:
            consumer.subscribe([self.name], listener=listener)
        return consumer

    def reader(self, **settings):
        """A consumer of partition 0 from the beginning, without a group."""
        consumer = self.consumer(**settings)
        partition = TopicPartition(self.name, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        return consumer

    def close(self):
        for client in reversed(self.clients):
            try:
                client.close()
            except Exception:  # A producer that was fenced cannot be closed in peace, which is not the case's business.
                pass


def poll(consumer, records):
    for batch in consumer.poll(timeout_ms=200).values():
        records.extend(batch)


def poll_all(consumers, records):
    """Polls members side by side: a rebalance ends only when all of them take part in it."""

    def polled(consumer):
        return consumer.poll(timeout_ms=500).values()

    with ThreadPoolExecutor(len(consumers)) as pool:
        for batches in pool.map(polled, consumers):
            for batch in batches:
                records.extend(batch)


def read(consumer, count):
    """The next records, `count` of them."""
    records = []

    def enough():
        poll(consumer, records)
        return len(records) >= count

    wait_for(enough, f"{count} records")
    return records


def values(records):
    return [record.value.decode() for record in records]


def send_numbered(producer, topic, first, last, partition=0):
    sent = [producer.send(topic, str(number).encode(), partition=partition) for number in range(first, last)]
    return [future.get(timeout=30) for future in sent]


def refused(error, call):
    try:
        call()
    except error:
        return
    expect(False, f"no {error.__name__}")


@suite.case
def produce_and_consume(world):
    topic = world.topic()
    sent = send_numbered(world.producer(), topic, 0, 100)
    same([metadata.offset for metadata in sent], list(range(100)), "offsets of the acknowledgements")
    records = read(world.reader(), 100)
    same(values(records), [str(number) for number in range(100)], "values")
    same([record.offset for record in records], list(range(100)), "offsets")


@suite.case
def keys_headers_and_nulls(world):
    topic = world.topic()
    producer = world.producer()
    # kafka-python itself refuses headers without a value.
    headers = [("trace", b"\x00\xff"), ("trace", b"")]
    producer.send(topic, b"value", key=b"key", headers=headers).get(30)
    producer.send(topic, None, key=b"tombstone").get(30)
    producer.send(topic, b"", key=b"").get(30)
    producer.send(topic, b"no key").get(30)
    records = read(world.reader(), 4)
    same(list(records[0].headers), headers, "headers")
    same([record.key for record in records], [b"key", b"tombstone", b"", None], "keys")
    same([record.value for record in records], [b"value", None, b"", b"no key"], "values")


@suite.case
def compressed_records(world):
    topic = world.topic()
    producer = world.producer(compression_type="gzip")
    producer.config["linger_ms"] = 50
    send_numbered(producer, topic, 0, 200)
    same(values(read(world.reader(), 200)), [str(number) for number in range(200)], "values")


@suite.case
def idempotent_produce(world):
    topic = world.topic()
    send_numbered(world.producer(enable_idempotence=True), topic, 0, 500)
    reader = world.reader()
    same(values(read(reader, 500)), [str(number) for number in range(500)], "values")
    same(reader.end_offsets([TopicPartition(topic, 0)]), {TopicPartition(topic, 0): 500}, "end offset")


@suite.case
def message_too_large(world):
    topic = world.topic(max_message_bytes="2000")
    # Its idempotent producer gives up for good after a refused record.
    producer = world.producer(enable_idempotence=False)
    refused(errors.MessageSizeTooLargeError, lambda: producer.send(topic, b"x" * 5000).get(30))
    producer.send(topic, b"x" * 500).get(30)
    same(len(read(world.reader(), 1)), 1, "records")


class Counting(ConsumerRebalanceListener):
    """Counts how often partitions were assigned."""

    def __init__(self):
        self.assigned = 0

    def on_partitions_revoked(self, revoked):
        pass

    def on_partitions_assigned(self, assigned):
        self.assigned += 1


def shares(consumers, wanted, records=None):
    """Waits until the consumers have so many partitions each."""

    def settled():
        poll_all(consumers, records if records is not None else [])
        return [len(consumer.assignment()) for consumer in consumers] == wanted

    wait_for(settled, f"assignments of {wanted} partitions")


@suite.case
def group_join_and_leave(world):
    world.topic(partitions=4)
    first = world.consumer(world.name)
    shares([first], [4])
    second = world.consumer(world.name)
    shares([first, second], [2, 2])
    same(len(first.assignment() | second.assignment()), 4, "partitions in all")
    second.close()
    shares([first], [4])


@suite.case
def group_rebalance(world):
    topic = world.topic(partitions=4)
    producer = world.producer()
    first, records = world.consumer(world.name), []
    shares([first], [4], records)
    for partition in range(4):
        send_numbered(producer, topic, 0, 10, partition)

    def all_read(consumers, count):
        def enough():
            poll_all(consumers, records)
            return len(records) >= count

        wait_for(enough, f"{count} records")

    all_read([first], 40)
    first.commit()
    second = world.consumer(world.name)
    shares([first, second], [2, 2], records)
    for partition in range(4):
        send_numbered(producer, topic, 10, 20, partition)
    all_read([first, second], 80)
    seen = sorted((record.partition, record.offset) for record in records)
    same(seen, [(partition, offset) for partition in range(4) for offset in range(20)], "records seen")


@suite.case
def static_member_returns(world):
    world.topic(partitions=2)
    counting = Counting()
    one = world.consumer(world.name, group_instance_id="one")
    two = world.consumer(world.name, listener=counting, group_instance_id="two")
    shares([one, two], [1, 1])
    before, rebalances = one.assignment(), counting.assigned
    one.close()
    again = world.consumer(world.name, group_instance_id="one")
    shares([again, two], [1, 1])
    same(again.assignment(), before, "assignment of the member that came back")
    same(counting.assigned, rebalances, "rebalances of the other member")


@suite.case
def static_member_fenced(world):
    world.topic()
    older = world.consumer(world.name, group_instance_id="one")
    shares([older], [1])
    newer = world.consumer(world.name, group_instance_id="one")
    shares([newer], [1])

    offsets = {TopicPartition(world.name, 0): OffsetAndMetadata(0, "", -1)}
    refused(errors.FencedInstanceIdError, lambda: older.commit(offsets))


@suite.case
def commit_and_lag(world):
    topic = world.topic()
    partition = TopicPartition(topic, 0)
    send_numbered(world.producer(), topic, 0, 15)
    first = world.consumer(world.name, max_poll_records=5)
    same(first.committed(partition), None, "committed before the first commit")
    read(first, 10)
    first.commit({partition: OffsetAndMetadata(10, "half way", -1)})
    same(first.committed(partition), 10, "committed")
    same(first.committed(partition, metadata=True).metadata, "half way", "metadata of the commit")
    lag = first.end_offsets([partition])[partition] - first.committed(partition)
    same(lag, 5, "lag")
    first.close()
    second = world.consumer(world.name)
    same(values(read(second, 5)), [str(number) for number in range(10, 15)], "values after the commit")


def transactional(world, name):
    producer = world.producer(transactional_id=name, transaction_timeout_ms=10000)
    producer.init_transactions()
    return producer


def in_transaction(producer, topic, value, commits=True):
    producer.begin_transaction()
    producer.send(topic, value, partition=0).get(30)
    if commits:
        producer.commit_transaction()
    else:
        producer.abort_transaction()


@suite.case
def transaction_commit(world):
    topic = world.topic()
    producer = transactional(world, world.name)
    producer.begin_transaction()
    producer.send(topic, b"one", partition=0).get(30)
    reader, records = world.reader(isolation_level="read_committed"), []
    for _ in range(3):
        poll(reader, records)
    same(values(records), [], "values before the commit")
    producer.send(topic, b"two", partition=0).get(30)
    producer.commit_transaction()
    same(values(read(reader, 2)), ["one", "two"], "values after the commit")


@suite.case
def transaction_abort(world):
    topic = world.topic()
    producer = transactional(world, world.name)
    in_transaction(producer, topic, b"aborted", commits=False)
    in_transaction(producer, topic, b"committed")
    careful = read(world.reader(isolation_level="read_committed"), 1)
    same(values(careful), ["committed"], "read committed")
    hasty = read(world.reader(isolation_level="read_uncommitted"), 2)
    same(values(hasty), ["aborted", "committed"], "read uncommitted")


@suite.case
def transaction_offsets(world):
    topic = world.topic()
    partition = TopicPartition(topic, 0)
    send_numbered(world.producer(), topic, 0, 5)
    member = world.consumer(world.name)
    read(member, 5)
    producer = transactional(world, world.name)
    for offset, commits in [(2, False), (4, True)]:
        producer.begin_transaction()
        offsets = {partition: OffsetAndMetadata(offset, "", -1)}
        producer.send_offsets_to_transaction(offsets, member.group_metadata())
        if commits:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
            same(member.committed(partition), None, "committed by an aborted transaction")
    # Kafka answers the commit before the group has the offsets.
    wait_for(lambda: member.committed(partition) == 4, "committed by the transaction")


@suite.case
def zombie_fenced(world):
    topic = world.topic()
    zombie = transactional(world, world.name)
    zombie.begin_transaction()
    zombie.send(topic, b"of the zombie", partition=0).get(30)
    heir = transactional(world, world.name)
    refused((errors.ProducerFencedError, errors.InvalidProducerEpochError), zombie.commit_transaction)
    in_transaction(heir, topic, b"of the heir")
    reader = world.reader(isolation_level="read_committed")
    same(values(read(reader, 1)), ["of the heir"], "values")


@suite.case
def create_and_delete_topics(world):
    admin, topic = world.admin(), world.topic(partitions=3)
    options = {"num_partitions": 1, "replication_factor": 1}
    refused(errors.TopicAlreadyExistsError, lambda: admin.create_topics({topic: options}))
    refused(errors.InvalidTopicError, lambda: admin.create_topics({"a/b": options}))
    three = {"num_partitions": 1, "replication_factor": 3}
    refused(errors.InvalidReplicationFactorError, lambda: admin.create_topics({topic + "-3": three}))
    unknown = {**options, "configs": {"no.such.setting": "1"}}
    refused(errors.InvalidConfigurationError, lambda: admin.create_topics({topic + "-x": unknown}))
    expect(topic in admin.list_topics(), "the topic is not listed")
    admin.delete_topics([topic])
    wait_for(lambda: topic not in admin.list_topics(), "the topic is gone")
    refused(errors.UnknownTopicOrPartitionError, lambda: admin.delete_topics([topic]))


@suite.case
def create_partitions(world):
    admin, topic = world.admin(), world.topic(partitions=2)
    admin.create_partitions({topic: 5})
    wait_for(lambda: len(admin.describe_topics([topic])[0]["partitions"]) == 5, "5 partitions")
    refused(errors.InvalidPartitionsError, lambda: admin.create_partitions({topic: 3}))
    same(send_numbered(world.producer(), topic, 0, 1, partition=4)[0].partition, 4, "partition")


@suite.case
def describe_and_alter_configs(world):
    admin, topic = world.admin(), world.topic(retention_ms="3600000")

    def modified():
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        described = admin.describe_configs([resource])["topic"][topic]
        return {name: setting["value"] for name, setting in described.items()}

    def alter(**changes):
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, changes)
        return admin.alter_configs([resource], raise_on_unknown=False)

    same(modified().get("retention.ms"), "3600000", "setting given at creation")
    alter(**{"max.message.bytes": "2000"})
    wait_for(lambda: modified().get("max.message.bytes") == "2000", "altered setting")
    same(modified().get("retention.ms"), "3600000", "the other setting")
    try:
        answer = str(alter(**{"no.such.setting": "1"}))
    except errors.KafkaError as error:
        answer = f"{type(error).__name__}"
    expect("InvalidConfig" in answer, f"an unknown setting is answered with {answer}")


@suite.case
def delete_records(world):
    topic = world.topic()
    partition = TopicPartition(topic, 0)
    send_numbered(world.producer(), topic, 0, 5)
    admin = world.admin()
    admin.delete_records({partition: 3})
    reader = world.reader()
    same(reader.beginning_offsets([partition]), {partition: 3}, "first offset")
    same(values(read(reader, 2)), ["3", "4"], "values that are left")
    refused(errors.OffsetOutOfRangeError, lambda: admin.delete_records({partition: 10}))


@suite.case
def offsets_for_times(world):
    topic = world.topic()
    partition = TopicPartition(topic, 0)
    base = int(time.time() * 1000) - 60_000
    producer = world.producer()
    for later in (1000, 2000, 3000):
        producer.send(topic, b"value", timestamp_ms=base + later).get(30)
    reader = world.reader()
    for later, expected in [(0, (0, base + 1000)), (2000, (1, base + 2000)), (2001, (2, base + 3000))]:
        found = reader.offsets_for_times({partition: base + later})[partition]
        same((found.offset, found.timestamp), expected, f"offset and time at {later} ms")
    same(reader.offsets_for_times({partition: base + 3001}), {partition: None}, "after the last record")


@suite.case
def list_and_describe_groups(world):
    world.topic()
    admin, member = world.admin(), world.consumer(world.name, client_id="worker")
    shares([member], [1])
    expect(world.name in [group["group_id"] for group in admin.list_groups()], "the group is not listed")

    def described():
        return admin.describe_groups([world.name])[world.name]

    def stable():
        poll(member, [])
        return described()["group_state"] == "Stable"

    wait_for(stable, "the group is stable")
    same([one["client_id"] for one in described()["members"]], ["worker"], "members")
    member.close()
    wait_for(lambda: described()["group_state"] == "Empty", "the group is empty")
    admin.delete_groups([world.name])
    wait_for(lambda: world.name not in [group["group_id"] for group in admin.list_groups()], "the group is gone")


@suite.case
def describe_cluster(world):
    cluster = world.admin().describe_cluster()
    brokers = [(broker["host"], broker["port"]) for broker in cluster["brokers"]]
    host, port = world.bootstrap.rsplit(":", 1)
    same(brokers, [(host, int(port))], "brokers")
    expect(cluster["cluster_id"], "the cluster has no id")


def call(function, bootstrap):
    world = World(bootstrap, function.__name__)
    try:
        function(world)
    finally:
        world.close()


if __name__ == "__main__":
    suite.main(call)
