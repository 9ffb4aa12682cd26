//! What a case has at hand: clients of the broker, a topic and a group of its own, and waiting.

use anyhow::{Context, Result, anyhow, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;

/// Longest wait for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// Counts how often partitions were assigned.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    assigned: AtomicUsize,
}

impl Counting {
    pub(crate) fn assigned(&self) -> usize {
        self.assigned.load(Ordering::Relaxed)
    }
}

impl ClientContext for Counting {}

impl ConsumerContext for Counting {
    fn post_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if matches!(rebalance, Rebalance::Assign(_)) {
            self.assigned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A member of a group, or a reader of one partition.
pub(crate) type Reader = BaseConsumer<Counting>;

/// A record as a consumer got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
}

impl Received {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }
}

/// The texts of records.
pub(crate) fn texts(records: &[Received]) -> Vec<String> {
    records.iter().map(Received::text).collect()
}

/// The numbers of a range as texts.
pub(crate) fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// One case's view of the broker.
pub(crate) struct World {
    pub(crate) bootstrap: String,
    /// Name of the case's topic, group and transactional id; no other run on the same broker has it.
    pub(crate) name: String,
    runtime: Handle,
}

impl World {
    pub(crate) fn new(bootstrap: &str, case: &str, runtime: Handle) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            bootstrap: bootstrap.to_owned(),
            name: format!("rdkafka-{}-{}-{case}", std::process::id(), now.as_secs()),
            runtime,
        }
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("retry.backoff.ms", "50")
            .set("allow.auto.create.topics", "false");
        config
    }

    pub(crate) fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.client().create()?)
    }

    pub(crate) fn options(&self) -> AdminOptions {
        AdminOptions::new().operation_timeout(Some(LIMIT))
    }

    /// Creates the case's topic and waits until clients can see it.
    pub(crate) fn topic(&self, partitions: i32, settings: &[(&str, &str)]) -> Result<&str> {
        let mut topic = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(1));
        for (name, value) in settings {
            topic = topic.set(name, value);
        }
        let admin = self.admin()?;
        let created = self.wait(admin.create_topics([&topic], &self.options()))?;
        if let Err((name, code)) = &created[0] {
            bail!("creating {name}: {code}");
        }
        self.until("the topic is known", || {
            Ok(self.partitions()? == Some(partitions as usize))
        })?;
        Ok(&self.name)
    }

    /// Number of partitions of the case's topic; `None` if it is not known.
    pub(crate) fn partitions(&self) -> Result<Option<usize>> {
        let admin = self.admin()?;
        // Of all topics: asked for a single one, the client would have it created.
        let metadata = admin.inner().fetch_metadata(None, LIMIT)?;
        let topic = metadata
            .topics()
            .iter()
            .find(|topic| topic.name() == self.name);
        Ok(topic.map(|topic| topic.partitions().len()))
    }

    pub(crate) fn producer(&self, settings: &[(&str, &str)]) -> Result<FutureProducer> {
        let mut config = self.client();
        config.set("linger.ms", "5");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        Ok(config.create()?)
    }

    /// A transactional producer that is ready.
    pub(crate) fn transactional(&self) -> Result<FutureProducer> {
        let settings = [
            ("transactional.id", self.name.as_str()),
            ("transaction.timeout.ms", "10000"),
        ];
        let producer = self.producer(&settings)?;
        producer.init_transactions(LIMIT).context("init")?;
        Ok(producer)
    }

    pub(crate) fn send(
        &self,
        producer: &FutureProducer,
        partition: i32,
        value: &str,
    ) -> Result<(), KafkaError> {
        let record: FutureRecord<'_, (), str> = FutureRecord::to(&self.name)
            .partition(partition)
            .payload(value);
        let sent = self.wait(producer.send(record, LIMIT));
        sent.map(|_| ()).map_err(|(error, _)| error)
    }

    /// Sends numbers to a partition and returns the offsets at which they were acknowledged.
    pub(crate) fn send_numbered(
        &self,
        producer: &FutureProducer,
        partition: i32,
        range: std::ops::Range<usize>,
    ) -> Result<Vec<i64>> {
        let values = numbers(range);
        let sends = values.iter().map(|value| {
            let record: FutureRecord<'_, (), String> = FutureRecord::to(&self.name)
                .partition(partition)
                .payload(value);
            producer
                .send_result(record)
                .map_err(|(error, _)| anyhow!(error))
        });
        let sends: Vec<_> = sends.collect::<Result<_>>()?;
        let mut offsets = Vec::new();
        for send in sends {
            let delivered = self.wait(send)?.map_err(|(error, _)| error)?;
            offsets.push(delivered.offset);
        }
        Ok(offsets)
    }

    fn consumer(&self, group: &str, settings: &[(&str, &str)]) -> Result<Reader> {
        let mut config = self.client();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "200")
            .set("fetch.wait.max.ms", "100");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        Ok(config.create_with_context(Counting::default())?)
    }

    /// A member of the case's group.
    pub(crate) fn member(&self, settings: &[(&str, &str)]) -> Result<Reader> {
        let member = self.consumer(&self.name, settings)?;
        member.subscribe(&[self.name.as_str()])?;
        Ok(member)
    }

    /// A consumer of partition 0 from the beginning, in no group's name.
    pub(crate) fn reader(&self, settings: &[(&str, &str)]) -> Result<Reader> {
        let reader = self.consumer(&format!("{}-reader", self.name), settings)?;
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(&self.name, 0, Offset::Beginning)?;
        reader.assign(&partitions)?;
        Ok(reader)
    }

    /// Asks `condition`, which does its own waiting, until it holds.
    pub(crate) fn until(
        &self,
        what: &str,
        mut condition: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            if condition()? {
                return Ok(());
            }
        }
        bail!("{what}: not within {LIMIT:?}")
    }

    /// Polls members until they have so many partitions each.
    pub(crate) fn shares(&self, members: &[&Reader], wanted: &[usize]) -> Result<()> {
        let mut records = Vec::new();
        self.until(&format!("assignments of {wanted:?} partitions"), || {
            let mut shares = Vec::new();
            for member in members {
                poll(member, &mut records)?;
                shares.push(member.assignment()?.count());
            }
            Ok(shares == wanted)
        })
    }

    /// Polls until `count` records have come.
    pub(crate) fn read(&self, reader: &Reader, count: usize) -> Result<Vec<Received>> {
        let mut records = Vec::new();
        self.until(&format!("{count} records"), || {
            poll(reader, &mut records)?;
            Ok(records.len() >= count)
        })?;
        Ok(records)
    }

    /// The committed offset of partition 0.
    pub(crate) fn committed(&self, member: &Reader) -> Result<Offset> {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition(&self.name, 0);
        let committed = member.committed_offsets(partitions, LIMIT)?;
        Ok(committed.elements()[0].offset())
    }

    /// A list of one offset of partition 0.
    pub(crate) fn at(&self, offset: i64) -> Result<TopicPartitionList> {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(&self.name, 0, Offset::Offset(offset))?;
        Ok(partitions)
    }
}

/// Takes what has come, waiting a little for the first record.
pub(crate) fn poll(reader: &Reader, records: &mut Vec<Received>) -> Result<()> {
    let mut wait = POLL;
    while let Some(polled) = reader.poll(wait) {
        let message = match polled {
            Ok(message) => message,
            Err(error) if passes(&error) => continue,
            Err(error) => return Err(error.into()),
        };
        records.push(Received {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
        });
        wait = Duration::ZERO;
    }
    Ok(())
}

/// Errors that librdkafka only tells of: it goes on by itself.
fn passes(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown)
    )
}

/// Fails with both values if they differ.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(actual: T, wanted: T, what: &str) -> Result<()> {
    if actual != wanted {
        bail!("{what}: {actual:?} instead of {wanted:?}");
    }
    Ok(())
}
