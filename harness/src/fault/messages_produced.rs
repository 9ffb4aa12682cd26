//! `messages_produced`: messages that nobody in the system would write stand in a topic.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{FutureExt, future::BoxFuture};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use rdkafka::{Message, consumer::StreamConsumer, message::OwnedMessage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Cause, Mistake, Named, Witness,
    in_force::{InForce, Scene},
    kind::FaultKind,
    messages_duplicated::access,
    processes::locked,
};
use crate::mechanism::{MechanismError, kafka::Kafka};

/// Messages that nobody in the system would write come into every partition of a topic: a text, or a copy of the partition's last message with some of its fields changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessagesProduced {
    /// The topic, without the drill's prefix.
    pub topic: String,
    /// The consumer group that is to cope with the messages, without the drill's prefix.
    pub group: String,
    /// Where the group parks what it gives up, without the drill's prefix; needed to witness that it did.
    #[serde(default)]
    pub dead_letters: Option<String>,
    /// How many messages come into each partition.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub per_partition: u32,
    /// The payload as it stands. Left out: copies of messages that are there.
    #[serde(default)]
    pub text: Option<String>,
    /// Fields of a copy, as JSON pointers, that get another value.
    #[serde(default)]
    pub change: BTreeMap<String, Value>,
    /// Fields of a copy, as JSON pointers, that get an id that was never seen before.
    #[serde(default)]
    pub fresh: Vec<String>,
    /// Fields of a copy, as JSON pointers, that are left out.
    #[serde(default)]
    pub remove: Vec<String>,
}

fn one() -> u32 {
    1
}

impl MessagesProduced {
    /// The payload of a message: the text, or the model with its changes.
    fn payload(
        &self,
        model: Option<&OwnedMessage>,
        ids: &mut ChaCha8Rng,
    ) -> Result<Vec<u8>, Cause> {
        if let Some(text) = &self.text {
            return Ok(text.clone().into_bytes());
        }
        let unusable = |remedy: &str| Cause::NoTarget {
            target: format!("message of {} that can be changed", self.topic),
            remedy: remedy.to_owned(),
        };
        let model = model.and_then(Message::payload).ok_or_else(|| {
            unusable("let messages come into the topic before the fault is injected")
        })?;
        let mut message: Value = serde_json::from_slice(model)
            .map_err(|_| unusable("only JSON objects can be copied with changes"))?;
        for (pointer, value) in &self.change {
            put(&mut message, pointer, value.clone())
                .ok_or_else(|| unusable(&format!("there is no place {pointer}")))?;
        }
        for pointer in &self.fresh {
            let id = Value::String(Uuid::from_u64_pair(ids.next_u64(), ids.next_u64()).to_string());
            put(&mut message, pointer, id)
                .ok_or_else(|| unusable(&format!("there is no place {pointer}")))?;
        }
        for pointer in &self.remove {
            remove(&mut message, pointer)
                .ok_or_else(|| unusable(&format!("there is no field {pointer}")))?;
        }
        Ok(message.to_string().into_bytes())
    }

    fn dead_letters(&self, witness: Witness) -> Result<Option<&str>, Cause> {
        match (witness, &self.dead_letters) {
            (Witness::ProducedParked, None) => Err(Cause::NoTarget {
                target: "dead-letter topic".to_owned(),
                remedy: "write `dead_letters = \"...\"`".to_owned(),
            }),
            (Witness::ProducedParked, Some(topic)) => Ok(Some(topic)),
            _ => Ok(None),
        }
    }
}

impl FaultKind for MessagesProduced {
    const NAME: &'static str = "messages_produced";
    const EXAMPLE: &'static str = r#"When the fault "poison-payment-commands" is injected"#;
    const WITNESSES: &'static [Witness] = &[Witness::ProducedParked, Witness::ProducedRead];

    fn target(&self) -> String {
        self.topic.clone()
    }

    fn named(&self) -> Vec<(&'static str, Named<'_>)> {
        let mut named = vec![("topic", Named::Topic(&self.topic))];
        named.extend(
            self.dead_letters
                .iter()
                .map(|topic| ("dead_letters", Named::Topic(topic.as_str()))),
        );
        named
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let changes = !(self.change.is_empty() && self.fresh.is_empty() && self.remove.is_empty());
        let mut mistakes = Vec::new();
        if self.text.is_some() && changes {
            mistakes.push(Mistake::new(
                "text",
                "a text has no fields that could be changed",
                "leave out either `text` or `change`, `fresh` and `remove`",
            ));
        }
        for (key, pointer) in self
            .change
            .keys()
            .map(|pointer| ("change", pointer))
            .chain(self.fresh.iter().map(|pointer| ("fresh", pointer)))
            .chain(self.remove.iter().map(|pointer| ("remove", pointer)))
        {
            if !pointer.starts_with('/') || pointer.ends_with('/') {
                mistakes.push(Mistake::new(
                    key,
                    format!("`{pointer}` is no JSON pointer to a field"),
                    "write it as `/field` or `/outer/inner`",
                ));
            }
        }
        mistakes
    }

    async fn put_in_force(&self, scene: Scene) -> Result<Box<dyn InForce>, Cause> {
        let kafka = Kafka::through(access(scene.pipeline.as_ref())?);
        let witness = match self.dead_letters(scene.witness)? {
            Some(topic) => {
                let from = kafka.ends(topic).await?;
                Some(kafka.tail(topic, &from).await?)
            }
            None => None,
        };
        let models = match self.text {
            Some(_) => BTreeMap::new(),
            None => kafka.last_messages(&self.topic).await?,
        };
        let partitions: Vec<i32> = kafka.ends(&self.topic).await?.into_keys().collect();
        let producer = kafka.producer()?;
        let mut ids = ChaCha8Rng::seed_from_u64(scene.seed);
        // A profile may be injected again in the same drill; its ids are new ones then.
        ids.set_stream(scene.number);
        let mut produced = Produced {
            fault: self.clone(),
            kafka: kafka.clone(),
            places: Vec::new(),
            awaited: Mutex::default(),
            dead_letters: witness,
            parked: AtomicU64::new(0),
        };
        for partition in partitions {
            // A partition in which nothing stands yet gets what stands in another one.
            let model = models.get(&partition).or_else(|| models.values().next());
            for _ in 0..self.per_partition {
                let payload = self.payload(model, &mut ids)?;
                let key = model.and_then(Message::key);
                let place = kafka
                    .publish(&producer, &self.topic, partition, key, &payload)
                    .await?;
                produced.places.push(place);
                *locked(&produced.awaited).entry(payload).or_default() += 1;
            }
        }
        Ok(Box::new(produced))
    }
}

/// The place a JSON pointer means, made where only its last part is missing.
fn put(message: &mut Value, pointer: &str, value: Value) -> Option<()> {
    let (outer, field) = pointer.rsplit_once('/')?;
    let fields = message.pointer_mut(outer)?.as_object_mut()?;
    fields.insert(field.to_owned(), value);
    Some(())
}

fn remove(message: &mut Value, pointer: &str) -> Option<()> {
    let (outer, field) = pointer.rsplit_once('/')?;
    let fields = message.pointer_mut(outer)?.as_object_mut()?;
    fields.remove(field).map(drop)
}

/// Messages that stand in a topic now.
struct Produced {
    fault: MessagesProduced,
    kafka: Kafka,
    /// Where they stand: partition and offset.
    places: Vec<(i32, i64)>,
    /// How many of each payload were not seen in the dead-letter topic yet.
    awaited: Mutex<BTreeMap<Vec<u8>, u64>>,
    dead_letters: Option<StreamConsumer>,
    parked: AtomicU64,
}

impl Produced {
    /// How many of the messages the group has put into its dead-letter topic, each counted once.
    fn count_parked(&self, dead_letters: &StreamConsumer) -> Result<u64, Cause> {
        while let Some(received) = dead_letters.recv().now_or_never() {
            let message = received.map_err(|error| {
                MechanismError::failed("following the dead-letter topic", error)
            })?;
            let mut awaited = locked(&self.awaited);
            if let Some(count) = awaited.get_mut(message.payload().unwrap_or_default())
                && *count > 0
            {
                *count -= 1;
                self.parked.fetch_add(1, Ordering::AcqRel);
            }
        }
        Ok(self.parked.load(Ordering::Acquire))
    }

    /// How many of the messages the group has read past.
    async fn count_read(&self) -> Result<u64, Cause> {
        let committed = self
            .kafka
            .committed(&self.fault.group, &self.fault.topic)
            .await?;
        let is_read = |(partition, offset): &&(i32, i64)| {
            committed
                .get(partition)
                .is_some_and(|position| position > offset)
        };
        Ok(self.places.iter().filter(is_read).count() as u64)
    }
}

impl InForce for Produced {
    fn felt(&self) -> BoxFuture<'_, Result<u64, Cause>> {
        Box::pin(async {
            match &self.dead_letters {
                Some(dead_letters) => self.count_parked(dead_letters),
                None => self.count_read().await,
            }
        })
    }

    fn heal(&mut self) -> BoxFuture<'_, Result<Vec<String>, Cause>> {
        // What stands in a topic cannot be taken back; the group must have coped with it.
        Box::pin(async {
            Ok(vec![format!(
                "nothing more is produced into {}",
                self.fault.topic
            )])
        })
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use serde_json::json;

    use super::*;

    fn model(payload: &Value) -> OwnedMessage {
        let payload = payload.to_string().into_bytes();
        let topic = "t".to_owned();
        OwnedMessage::new(
            Some(payload),
            None,
            topic,
            Timestamp::NotAvailable,
            0,
            0,
            None,
        )
    }

    fn produced(toml: &str) -> MessagesProduced {
        toml::from_str(&format!("topic = \"t\"\ngroup = \"g\"\n{toml}")).expect("parameters")
    }

    fn ids() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(7)
    }

    #[test]
    fn a_copy_differs_in_the_named_fields_only() {
        let fault = produced(
            r#"change = { "/version" = 9, "/body/new" = "x" }
            fresh = ["/id"]
            remove = ["/body/gone"]"#,
        );
        let before = json!({ "version": 1, "id": "a", "kept": 1, "body": { "gone": 1 } });
        let payload = fault
            .payload(Some(&model(&before)), &mut ids())
            .expect("a payload");
        let mut after: Value = serde_json::from_slice(&payload).expect("JSON");
        let id = after["id"].take();
        assert!(id.as_str().is_some_and(|id| Uuid::parse_str(id).is_ok()));
        let expected = json!({ "version": 9, "id": null, "kept": 1, "body": { "new": "x" } });
        assert_eq!(after, expected);
    }

    #[test]
    fn what_cannot_be_copied_is_told() {
        let fault = produced(r#"remove = ["/gone"]"#);
        let said = |message: Option<&OwnedMessage>| {
            fault
                .payload(message, &mut ids())
                .expect_err("a refusal")
                .to_string()
        };
        assert!(said(None).contains("before the fault is injected"));
        assert!(said(Some(&model(&json!([1])))).contains("no field /gone"));
        assert!(said(Some(&model(&json!({ "a": 1 })))).contains("no field /gone"));
    }
}
