// The cases with kafkajs. Each is judged and reported as the Python programs do: one line of JSON on standard output.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import kafkajs from "kafkajs";

const { Kafka, CompressionTypes, ConfigResourceTypes, logLevel } = kafkajs;
const LIMIT_MS = 60_000;
const RUN = `kafkajs-${process.pid}-${Math.floor(Date.now() / 1000)}`;

class Unsupported extends Error {}

function expect(condition, message) {
  if (!condition) throw new Error(message);
}

function same(actual, expected, what) {
  const [one, other] = [JSON.stringify(actual), JSON.stringify(expected)];
  expect(one === other, `${what}: ${one} instead of ${other}`);
}

/** Asks until the condition holds; `pause` lets the client work in between. */
async function waitFor(condition, what, limitMs = 30_000) {
  const end = Date.now() + limitMs;
  while (Date.now() < end) {
    if (await condition()) return;
    await new Promise((resume) => setTimeout(resume, 50));
  }
  throw new Error(`${what}: not within ${limitMs} ms`);
}

async function refused(type, call) {
  const wanted = [type].flat();
  try {
    await call();
  } catch (error) {
    const cause = error.errors?.[0] ?? error;
    const types = [error.type, cause.type, error.cause?.type, error.originalError?.type];
    expect(wanted.some((one) => types.includes(one)), `${type} expected, but ${cause.type} ${cause.name}: ${cause.message}`);
    return;
  }
  throw new Error(`no ${type}`);
}

/** Clients of one case; all are closed when it ends. */
class World {
  constructor(bootstrap, name) {
    this.bootstrap = bootstrap;
    this.name = `${RUN}-${name}`;
    this.kafka = this.client("kafkajs");
    this.closing = [];
  }

  client(clientId) {
    return new Kafka({
      clientId,
      brokers: [this.bootstrap],
      logLevel: logLevel.NOTHING,
      retry: { initialRetryTime: 50, retries: 8 },
    });
  }

  async opened(client) {
    this.closing.push(() => client.disconnect());
    await client.connect();
    return client;
  }

  admin() {
    return this.opened(this.kafka.admin());
  }

  async topic(numPartitions = 1, configEntries = []) {
    const admin = await this.admin();
    const topics = [{ topic: this.name, numPartitions, replicationFactor: 1, configEntries }];
    await admin.createTopics({ topics, waitForLeaders: true });
    return this.name;
  }

  producer(settings = {}) {
    return this.opened(this.kafka.producer({ allowAutoTopicCreation: false, ...settings }));
  }

  /** A member of a group that collects what it receives and what it is assigned. */
  async member({ group = this.name, clientId = "kafkajs", onRecord = () => {}, ...settings } = {}) {
    const consumer = this.client(clientId).consumer({
      groupId: group,
      sessionTimeout: 6000,
      heartbeatInterval: 200,
      rebalanceTimeout: 6000,
      maxWaitTimeInMs: 100,
      retry: { retries: 8 },
      ...settings,
    });
    const member = { consumer, records: [], assigned: [], rebalances: 0 };
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      member.assigned = payload.memberAssignment[this.name] ?? [];
      member.rebalances += 1;
    });
    await this.opened(consumer);
    await consumer.subscribe({ topics: [this.name], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        member.records.push({ partition, ...message });
        await onRecord({ partition, message });
      },
    });
    return member;
  }

  /** The records of the topic, read from the beginning by a group of its own. */
  async read(count, settings = {}) {
    const member = await this.member({ group: `${this.name}-${Math.random()}`, ...settings });
    await waitFor(() => member.records.length >= count, `${count} records`);
    await member.consumer.disconnect();
    return member.records;
  }

  async close() {
    for (const close of this.closing.reverse()) {
      // A producer that was fenced cannot be closed in peace, which is not the case's business.
      await close().catch(() => {});
    }
  }
}

const values = (records) => records.map((record) => record.value.toString());
const numbers = (first, last) => Array.from({ length: last - first }, (_, index) => String(first + index));
const sendNumbered = (producer, topic, first, last, partition = 0, settings = {}) =>
  producer.send({ topic, messages: numbers(first, last).map((value) => ({ value, partition })), ...settings });
const shares = (members, wanted) =>
  waitFor(
    () => members.every((member, index) => member.assigned.length === wanted[index]),
    `assignments of ${wanted} partitions`,
  );

const cases = {
  async "produce-and-consume"(world) {
    const topic = await world.topic();
    const sent = await sendNumbered(await world.producer(), topic, 0, 100);
    same(sent[0].baseOffset, "0", "offset of the acknowledgement");
    const records = await world.read(100);
    same(values(records), numbers(0, 100), "values");
    same(records.map((record) => record.offset), numbers(0, 100), "offsets");
  },

  async "keys-headers-and-nulls"(world) {
    const topic = await world.topic();
    const producer = await world.producer();
    const headers = { trace: [Buffer.from([0, 255]), Buffer.from("")], other: Buffer.from("x") };
    const messages = [
      { key: "key", value: "value", headers },
      { key: "tombstone", value: null },
      { key: "", value: "" },
      { value: "no key" },
    ];
    await producer.send({ topic, messages: messages.map((message) => ({ ...message, partition: 0 })) });
    const records = await world.read(4);
    const text = (bytes) => bytes?.toString() ?? null;
    same(records.map((record) => text(record.key)), ["key", "tombstone", "", null], "keys");
    same(records.map((record) => text(record.value)), ["value", null, "", "no key"], "values");
    same(records[0].headers.trace, headers.trace, "header of two values");
    same(text(records[0].headers.other), "x", "header");
  },

  async "compressed-records"(world) {
    const topic = await world.topic();
    const compression = CompressionTypes.GZIP;
    await sendNumbered(await world.producer(), topic, 0, 200, 0, { compression });
    same(values(await world.read(200)), numbers(0, 200), "values");
  },

  async "idempotent-produce"(world) {
    const topic = await world.topic();
    const producer = await world.producer({ idempotent: true, maxInFlightRequests: 1 });
    for (let first = 0; first < 500; first += 50) await sendNumbered(producer, topic, first, first + 50);
    same(values(await world.read(500)), numbers(0, 500), "values");
    const offsets = await (await world.admin()).fetchTopicOffsets(topic);
    same(offsets[0].high, "500", "end offset");
  },

  async "message-too-large"(world) {
    const topic = await world.topic(1, [{ name: "max.message.bytes", value: "2000" }]);
    const producer = await world.producer();
    const send = (size) => producer.send({ topic, messages: [{ value: "x".repeat(size) }] });
    await refused("MESSAGE_TOO_LARGE", () => send(5000));
    await send(500);
    same((await world.read(1)).length, 1, "records");
  },

  async "group-join-and-leave"(world) {
    await world.topic(4);
    const first = await world.member();
    await shares([first], [4]);
    const second = await world.member();
    await shares([first, second], [2, 2]);
    same(new Set([...first.assigned, ...second.assigned]).size, 4, "partitions in all");
    await second.consumer.disconnect();
    await shares([first], [4]);
  },

  async "group-rebalance"(world) {
    const topic = await world.topic(4);
    const producer = await world.producer();
    const records = [];
    const member = () => {
      let consumer;
      const onRecord = async ({ partition, message }) => {
        records.push(`${partition}/${message.offset}`);
        const offset = String(Number(message.offset) + 1);
        await consumer.commitOffsets([{ topic, partition, offset }]);
      };
      return world.member({ onRecord: (record) => waitFor(() => consumer, "consumer").then(() => onRecord(record)) })
        .then((made) => ((consumer = made.consumer), made));
    };
    const first = await member();
    await shares([first], [4]);
    const partitions = [0, 1, 2, 3];
    for (const partition of partitions) await sendNumbered(producer, topic, 0, 10, partition);
    await waitFor(() => records.length >= 40, "40 records");
    const second = await member();
    await shares([first, second], [2, 2]);
    for (const partition of partitions) await sendNumbered(producer, topic, 10, 20, partition);
    await waitFor(() => records.length >= 80, "80 records");
    const expected = partitions.flatMap((partition) => numbers(0, 20).map((offset) => `${partition}/${offset}`));
    same([...records].sort(), expected.sort(), "records seen");
  },

  async "static-member-returns"() {
    throw new Unsupported("kafkajs has no group.instance.id");
  },

  async "static-member-fenced"() {
    throw new Unsupported("kafkajs has no group.instance.id");
  },

  async "commit-and-lag"(world) {
    const topic = await world.topic();
    const admin = await world.admin();
    const committed = async () => {
      const [found] = await admin.fetchOffsets({ groupId: world.name, topics: [topic] });
      return found.partitions.map(({ offset, metadata }) => [offset, metadata]);
    };
    await sendNumbered(await world.producer(), topic, 0, 15);
    const first = await world.member();
    await waitFor(() => first.records.length >= 10, "10 records");
    same((await committed())[0]?.[0] ?? "-1", "-1", "committed before the first commit");
    await first.consumer.commitOffsets([{ topic, partition: 0, offset: "10", metadata: "half way" }]);
    same(await committed(), [["10", "half way"]], "committed");
    const [{ high }] = await admin.fetchTopicOffsets(topic);
    same(Number(high) - Number((await committed())[0][0]), 5, "lag");
    await first.consumer.disconnect();
    const second = await world.member();
    await waitFor(() => second.records.length >= 5, "5 records");
    same(values(second.records), numbers(10, 15), "values after the commit");
  },

  async "transaction-commit"(world) {
    const topic = await world.topic();
    const producer = await transactional(world);
    const transaction = await producer.transaction();
    await transaction.send({ topic, messages: [{ value: "one" }] });
    const careful = await world.member({ readUncommitted: false });
    const hasty = await world.member({ group: `${world.name}-hasty`, readUncommitted: true });
    await waitFor(() => hasty.records.length === 1, "the uncommitted record");
    same(values(careful.records), [], "values before the commit");
    await transaction.send({ topic, messages: [{ value: "two" }] });
    await transaction.commit();
    await waitFor(() => careful.records.length >= 2, "2 records");
    same(values(careful.records), ["one", "two"], "values after the commit");
  },

  async "transaction-abort"(world) {
    const topic = await world.topic();
    const producer = await transactional(world);
    await inTransaction(producer, topic, "aborted", false);
    await inTransaction(producer, topic, "committed", true);
    same(values(await world.read(1, { readUncommitted: false })), ["committed"], "read committed");
    same(values(await world.read(2, { readUncommitted: true })), ["aborted", "committed"], "read uncommitted");
  },

  async "transaction-offsets"(world) {
    const topic = await world.topic();
    const admin = await world.admin();
    const committed = async () => {
      const [found] = await admin.fetchOffsets({ groupId: world.name, topics: [topic] });
      return found.partitions[0]?.offset ?? "-1";
    };
    await sendNumbered(await world.producer(), topic, 0, 5);
    const member = await world.member();
    await waitFor(() => member.records.length >= 5, "5 records");
    const producer = await transactional(world);
    for (const [offset, commits] of [["2", false], ["4", true]]) {
      const transaction = await producer.transaction();
      const topics = [{ topic, partitions: [{ partition: 0, offset }] }];
      await transaction.sendOffsets({ consumerGroupId: world.name, topics });
      if (commits) {
        await transaction.commit();
        await waitFor(async () => (await committed()) === "4", "committed by the transaction");
      } else {
        await transaction.abort();
        same(await committed(), "-1", "committed by an aborted transaction");
      }
    }
  },

  async "zombie-fenced"(world) {
    const topic = await world.topic();
    const zombie = await transactional(world);
    const transaction = await zombie.transaction();
    await transaction.send({ topic, messages: [{ value: "of the zombie" }] });
    const heir = await transactional(world);
    const begun = await heir.transaction();
    await begun.send({ topic, messages: [{ value: "of the heir" }] });
    // kafkajs asks in a version that does not know PRODUCER_FENCED yet, or in one that does.
    await refused(["PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH"], () => transaction.commit());
    await begun.commit();
    same(values(await world.read(1, { readUncommitted: false })), ["of the heir"], "values");
  },

  async "create-and-delete-topics"(world) {
    const topic = await world.topic(3);
    const admin = await world.admin();
    const create = (name, replicationFactor = 1, configEntries = []) =>
      admin.createTopics({ topics: [{ topic: name, numPartitions: 1, replicationFactor, configEntries }] });
    // kafkajs reports an existing topic as `false`.
    same(await create(topic), false, "creating it again");
    await refused("INVALID_TOPIC_EXCEPTION", () => create("a/b"));
    await refused("INVALID_REPLICATION_FACTOR", () => create(`${topic}-3`, 3));
    await refused("INVALID_CONFIG", () => create(`${topic}-x`, 1, [{ name: "no.such.setting", value: "1" }]));
    expect((await admin.listTopics()).includes(topic), "the topic is not listed");
    await admin.deleteTopics({ topics: [topic] });
    await waitFor(async () => !(await admin.listTopics()).includes(topic), "the topic is gone");
    await refused("UNKNOWN_TOPIC_OR_PARTITION", () => admin.deleteTopics({ topics: [topic] }));
  },

  async "create-partitions"(world) {
    const topic = await world.topic(2);
    const admin = await world.admin();
    const grow = (count) => admin.createPartitions({ topicPartitions: [{ topic, count }] });
    await grow(5);
    const count = async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length;
    await waitFor(async () => (await count()) === 5, "5 partitions");
    await refused("INVALID_PARTITIONS", () => grow(3));
    const sent = await sendNumbered(await world.producer(), topic, 0, 1, 4);
    same(sent[0].partition, 4, "partition");
  },

  async "describe-and-alter-configs"(world) {
    const topic = await world.topic(1, [{ name: "retention.ms", value: "3600000" }]);
    const admin = await world.admin();
    const resource = { type: ConfigResourceTypes.TOPIC, name: topic };
    const described = async () => {
      const { resources } = await admin.describeConfigs({ resources: [resource] });
      const settings = resources[0].configEntries;
      // A source of 1 is the topic itself.
      return Object.fromEntries(settings.map((entry) => [entry.configName, [entry.configValue, entry.configSource]]));
    };
    const alter = (name, value) =>
      admin.alterConfigs({ resources: [{ ...resource, configEntries: [{ name, value }] }] });
    same((await described())["retention.ms"], ["3600000", 1], "setting given at creation");
    await alter("max.message.bytes", "2000");
    await waitFor(async () => (await described())["max.message.bytes"][0] === "2000", "altered setting");
    expect((await described())["retention.ms"][1] !== 1, "altering did not replace the other setting");
    await refused("INVALID_CONFIG", () => alter("no.such.setting", "1"));
  },

  async "delete-records"(world) {
    const topic = await world.topic();
    await sendNumbered(await world.producer(), topic, 0, 5);
    const admin = await world.admin();
    const remove = (offset) => admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] });
    // kafkajs deletes only from topics whose metadata it has loaded.
    same((await admin.fetchTopicOffsets(topic))[0].low, "0", "first offset before");
    await remove("3");
    same((await admin.fetchTopicOffsets(topic))[0].low, "3", "first offset");
    same(values(await world.read(2)), ["3", "4"], "values that are left");
    await refused("OFFSET_OUT_OF_RANGE", () =>
      remove("10").catch((error) => {
        throw error.cause?.partitions?.[0]?.error ?? error;
      }),
    );
  },

  async "offsets-for-times"(world) {
    const topic = await world.topic();
    const base = Date.now() - 60_000;
    const producer = await world.producer();
    for (const later of [1000, 2000, 3000]) {
      await producer.send({ topic, messages: [{ value: "value", timestamp: String(base + later) }] });
    }
    const admin = await world.admin();
    // kafkajs gives the end of the partition where there is no later record.
    for (const [later, expected] of [[0, "0"], [2000, "1"], [2001, "2"], [3001, "3"]]) {
      const found = await admin.fetchTopicOffsetsByTimestamp(topic, base + later);
      same(found[0].offset, expected, `offset at ${later} ms`);
    }
  },

  async "list-and-describe-groups"(world) {
    await world.topic();
    const admin = await world.admin();
    const member = await world.member({ clientId: "worker" });
    await shares([member], [1]);
    const listed = async () => (await admin.listGroups()).groups.some((group) => group.groupId === world.name);
    const described = async () => (await admin.describeGroups([world.name])).groups[0];
    expect(await listed(), "the group is not listed");
    await waitFor(async () => (await described()).state === "Stable", "the group is stable");
    same((await described()).members.map((one) => one.clientId), ["worker"], "members");
    await member.consumer.disconnect();
    await waitFor(async () => (await described()).state === "Empty", "the group is empty");
    await admin.deleteGroups([world.name]);
    await waitFor(async () => !(await listed()), "the group is gone");
  },

  async "describe-cluster"(world) {
    const cluster = await (await world.admin()).describeCluster();
    same(cluster.brokers.map(({ host, port }) => `${host}:${port}`), [world.bootstrap], "brokers");
    expect(cluster.clusterId, "the cluster has no id");
  },
};

function transactional(world) {
  const settings = { transactionalId: world.name, idempotent: true, maxInFlightRequests: 1, transactionTimeout: 10_000 };
  return world.producer(settings);
}

async function inTransaction(producer, topic, value, commits) {
  const transaction = await producer.transaction();
  await transaction.send({ topic, messages: [{ value }] });
  await (commits ? transaction.commit() : transaction.abort());
}

function report(name, result, note = "") {
  process.stdout.write(`${JSON.stringify({ client: "kafkajs", case: name, result, note })}\n`);
}

async function judge(name, bootstrap) {
  const world = new World(bootstrap, name);
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${LIMIT_MS} ms`)), LIMIT_MS);
  });
  try {
    await Promise.race([cases[name](world), late]);
    report(name, "ok");
  } catch (error) {
    const unsupported = error instanceof Unsupported;
    if (!unsupported) process.stderr.write(`${name}: ${error.stack}\n`);
    report(name, unsupported ? "unsupported" : "differs", error.message);
  } finally {
    clearTimeout(timer);
    await Promise.race([world.close(), new Promise((resume) => setTimeout(resume, 10_000).unref())]);
  }
}

const [bootstrap, ...wanted] = process.argv.slice(2);
const list = fileURLToPath(new URL("../cases.txt", import.meta.url));
const known = readFileSync(list, "utf8").split(/\s+/).filter(Boolean);
for (const name of wanted.length ? wanted : known) {
  if (cases[name]) await judge(name, bootstrap);
  else report(name, "differs", "the program has no such case");
}
process.exit(0);
