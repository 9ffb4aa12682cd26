//! Every timeout of the Kafka client, as a setting. The defaults suit production; drills set smaller ones.

use std::time::Duration;

use rdkafka::ClientConfig;

use crate::settings::Settings;

/// How a service uses Kafka.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// `host:port`, separated by commas.
    pub brokers: String,
    /// Stands before the names of topics and groups; may be empty.
    pub prefix: String,
    /// A member that is not heard of for so long is expelled from its group.
    pub session_timeout: Duration,
    /// How often a member is heard of.
    pub heartbeat: Duration,
    /// A member that does not poll for so long leaves its group.
    pub max_poll_interval: Duration,
    /// A request without an answer fails after this time; so does a connection attempt.
    pub socket_timeout: Duration,
    /// Longest pause before a new connection attempt.
    pub reconnect_backoff_max: Duration,
    /// Pause before a request is sent again.
    pub retry_backoff: Duration,
    /// A record that was not acknowledged by then is given up.
    pub delivery_timeout: Duration,
    /// How long records are gathered into one batch.
    pub linger: Duration,
    /// How long the broker may hold a fetch that finds nothing.
    pub fetch_wait: Duration,
    /// How often the client asks anew which topics and leaders there are.
    pub metadata_refresh: Duration,
    /// Largest record. Bytes.
    pub message_bytes: u32,
    /// How partitions are divided in the group.
    pub assignment: &'static str,
    /// Messages in work at once, over all partitions.
    pub concurrent_messages: usize,
    /// Messages of one partition that wait in memory; above, the partition is paused.
    pub partition_queue: usize,
    /// Attempts at a message that may be to blame itself, before it is parked.
    pub work_attempts: u32,
    /// Attempts that failed for want of something else (database, a party outside) do not count against a message. Where
    /// this is off every failed attempt counts, whatever it failed for.
    pub only_blame_counts: bool,
    /// Pause after the first failed attempt; doubles each time.
    pub work_pause: Duration,
    /// Longest pause between attempts.
    pub work_pause_max: Duration,
}

/// How often a consumer notes how far it is behind.
const LAG_INTERVAL: Duration = Duration::from_millis(500);

impl KafkaSettings {
    /// Reads `KAFKA_BROKERS`, `TOPIC_PREFIX` and the settings that begin with `KAFKA_`.
    pub fn read(settings: &mut Settings) -> Self {
        let read = settings.in_group("Kafka", Self::read_all);
        read.check(settings);
        read
    }

    fn read_all(settings: &mut Settings) -> Self {
        Self {
            brokers: settings.required_text("KAFKA_BROKERS", "addresses such as 127.0.0.1:9092"),
            prefix: settings.text(
                "TOPIC_PREFIX",
                "",
                "stands before the names of topics and groups",
            ),
            session_timeout: settings.duration_ms(
                "KAFKA_SESSION_TIMEOUT_MS",
                10_000,
                "a member that is not heard of for so long is expelled from its group",
            ),
            heartbeat: settings.duration_ms(
                "KAFKA_HEARTBEAT_MS",
                3_000,
                "how often a member is heard of",
            ),
            max_poll_interval: settings.duration_ms(
                "KAFKA_MAX_POLL_INTERVAL_MS",
                300_000,
                "a member that does not poll for so long leaves its group",
            ),
            socket_timeout: settings.duration_ms(
                "KAFKA_SOCKET_TIMEOUT_MS",
                10_000,
                "a request, or a connection attempt, without an answer fails after this time",
            ),
            reconnect_backoff_max: settings.duration_ms(
                "KAFKA_RECONNECT_BACKOFF_MAX_MS",
                1_000,
                "longest pause before a new connection attempt",
            ),
            retry_backoff: settings.duration_ms(
                "KAFKA_RETRY_BACKOFF_MS",
                100,
                "pause before a request is sent again",
            ),
            delivery_timeout: settings.duration_ms(
                "KAFKA_DELIVERY_TIMEOUT_MS",
                30_000,
                "a record that was not acknowledged by then is given up",
            ),
            linger: settings.duration_ms(
                "KAFKA_LINGER_MS",
                1,
                "how long records are gathered into one batch",
            ),
            fetch_wait: settings.duration_ms(
                "KAFKA_FETCH_WAIT_MS",
                100,
                "how long the broker may hold a fetch that finds nothing",
            ),
            metadata_refresh: settings.duration_ms(
                "KAFKA_METADATA_REFRESH_MS",
                10_000,
                "how often the client asks anew which topics and leaders there are",
            ),
            message_bytes: settings.number(
                "KAFKA_MESSAGE_LIMIT_BYTES",
                1_000_000,
                1_000..=10_000_000,
                "the largest message that the topics take",
            ),
            assignment: settings.choice(
                "KAFKA_ASSIGNMENT",
                "cooperative-sticky",
                &["cooperative-sticky", "range", "roundrobin"],
                "how partitions are divided in the group",
            ),
            concurrent_messages: settings.number(
                "KAFKA_CONCURRENT_MESSAGES",
                8,
                1..=1_000,
                "messages in work at once, over all partitions",
            ),
            partition_queue: settings.number(
                "KAFKA_PARTITION_QUEUE",
                100,
                1..=100_000,
                "messages of one partition in memory; above, the partition is paused",
            ),
            work_attempts: settings.number(
                "KAFKA_WORK_ATTEMPTS",
                5,
                1..=1_000,
                "attempts at a message that may itself be to blame, before it is parked",
            ),
            only_blame_counts: true,
            work_pause: settings.duration_ms(
                "KAFKA_WORK_PAUSE_MS",
                100,
                "pause after the first failed attempt; doubles each time",
            ),
            work_pause_max: settings.duration_ms(
                "KAFKA_WORK_PAUSE_MAX_MS",
                5_000,
                "longest pause between attempts",
            ),
        }
    }

    /// What the client itself would refuse, said in the names of our settings.
    fn check(&self, settings: &mut Settings) {
        if self.heartbeat >= self.session_timeout {
            settings.problem(
                "KAFKA_HEARTBEAT_MS",
                "must be smaller than KAFKA_SESSION_TIMEOUT_MS",
            );
        }
        if self.max_poll_interval < self.session_timeout {
            settings.problem(
                "KAFKA_MAX_POLL_INTERVAL_MS",
                "must not be smaller than KAFKA_SESSION_TIMEOUT_MS",
            );
        }
        if self.socket_timeout <= self.fetch_wait {
            settings.problem(
                "KAFKA_SOCKET_TIMEOUT_MS",
                "must be larger than KAFKA_FETCH_WAIT_MS",
            );
        }
        if self.delivery_timeout <= self.linger {
            settings.problem(
                "KAFKA_DELIVERY_TIMEOUT_MS",
                "must be larger than KAFKA_LINGER_MS",
            );
        }
    }

    /// The name of a topic or group as the broker knows it.
    pub fn prefixed(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn client(&self, instance: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        set(&mut config, "bootstrap.servers", &self.brokers);
        set(&mut config, "client.id", instance);
        set_ms(&mut config, "socket.timeout.ms", self.socket_timeout);
        let setup = self.socket_timeout.max(Duration::from_secs(1));
        set_ms(&mut config, "socket.connection.setup.timeout.ms", setup);
        set(&mut config, "socket.keepalive.enable", "true");
        set(&mut config, "socket.nagle.disable", "true");
        set_ms(
            &mut config,
            "reconnect.backoff.ms",
            self.reconnect_backoff_max.min(Duration::from_millis(50)),
        );
        set_ms(
            &mut config,
            "reconnect.backoff.max.ms",
            self.reconnect_backoff_max,
        );
        set_ms(
            &mut config,
            "retry.backoff.ms",
            self.retry_backoff.max(Duration::from_millis(1)),
        );
        let longest = self.retry_backoff.max(Duration::from_secs(1));
        set_ms(&mut config, "retry.backoff.max.ms", longest);
        set_ms(
            &mut config,
            "topic.metadata.refresh.interval.ms",
            self.metadata_refresh,
        );
        set(&mut config, "allow.auto.create.topics", "false");
        set(&mut config, "log.connection.close", "false");
        set(
            &mut config,
            "message.max.bytes",
            &self.message_bytes.to_string(),
        );
        config
    }

    /// The configuration of a producer; all replicas must acknowledge a record.
    pub(super) fn producer(&self, instance: &str, idempotent: bool) -> ClientConfig {
        let mut config = self.client(instance);
        set(&mut config, "acks", "all");
        set(&mut config, "enable.idempotence", &idempotent.to_string());
        set_ms(&mut config, "message.timeout.ms", self.delivery_timeout);
        set_ms(
            &mut config,
            "request.timeout.ms",
            self.socket_timeout.min(self.delivery_timeout),
        );
        set_ms(&mut config, "linger.ms", self.linger);
        set(&mut config, "queue.buffering.max.messages", "100000");
        config
    }

    /// The configuration of a group's member; nothing is committed or stored behind our back.
    pub(super) fn consumer(&self, instance: &str, group: &str) -> ClientConfig {
        let mut config = self.client(instance);
        set(&mut config, "group.id", &self.prefixed(group));
        set(
            &mut config,
            "partition.assignment.strategy",
            self.assignment,
        );
        set_ms(&mut config, "session.timeout.ms", self.session_timeout);
        set_ms(&mut config, "heartbeat.interval.ms", self.heartbeat);
        set_ms(&mut config, "max.poll.interval.ms", self.max_poll_interval);
        set(&mut config, "enable.auto.commit", "false");
        set(&mut config, "enable.auto.offset.store", "false");
        set(&mut config, "auto.offset.reset", "earliest");
        set(&mut config, "isolation.level", "read_committed");
        set(&mut config, "check.crcs", "true");
        set_ms(&mut config, "statistics.interval.ms", LAG_INTERVAL);
        set_ms(&mut config, "fetch.wait.max.ms", self.fetch_wait);
        set_ms(&mut config, "fetch.error.backoff.ms", self.retry_backoff);
        config
    }

    /// The configuration of a client that hears a topic in full without being a member of any group.
    pub(super) fn listener(&self, instance: &str, name: &str) -> ClientConfig {
        // The client wants the name of a group even if it never joins one.
        let mut config = self.consumer(instance, name);
        set(&mut config, "auto.offset.reset", "latest");
        config
    }
}

fn set(config: &mut ClientConfig, name: &str, value: &str) {
    config.set(name, value);
}

fn set_ms(config: &mut ClientConfig, name: &str, value: Duration) {
    config.set(name, value.as_millis().to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_that_the_client_refuses_are_named() {
        let values = [
            ("KAFKA_BROKERS", "127.0.0.1:9092"),
            ("KAFKA_SESSION_TIMEOUT_MS", "1000"),
            ("KAFKA_MAX_POLL_INTERVAL_MS", "500"),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let error = Settings::read(values, KafkaSettings::read).expect_err("two problems");
        assert_eq!(error.problems.len(), 2, "{error}");
    }
}
