//! A toxic as Toxiproxy's JSON: `{"name","type","stream","toxicity","attributes":{..}}`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Protocol, Stream, Toxic, ToxicError, ToxicKind, lose_answer};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct LatencyAttributes {
    latency: u64,
    jitter: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct TimeoutAttributes {
    timeout: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct LimitDataAttributes {
    bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(default)]
struct LoseAnswerAttributes {
    protocol: Protocol,
    after_requests: u64,
    share: f64,
    times: Option<u64>,
    min_answer_bytes: Option<u64>,
    drain_ms: u64,
}

impl Default for LoseAnswerAttributes {
    fn default() -> Self {
        Self {
            protocol: Protocol::Auto,
            after_requests: 0,
            share: 1.0,
            times: None,
            min_answer_bytes: None,
            drain_ms: lose_answer::DEFAULT_DRAIN_MS,
        }
    }
}

impl ToxicKind {
    /// Reads a type's attributes as Toxiproxy writes them; what is missing has its default, what is unknown is ignored.
    ///
    /// # Errors
    /// An unknown type, or an attribute of the wrong type.
    pub fn from_attributes(
        type_name: &str,
        attributes: Map<String, Value>,
    ) -> Result<Self, ToxicError> {
        let attributes = Value::Object(attributes);
        Ok(match type_name {
            "latency" => {
                let LatencyAttributes { latency, jitter } = read(attributes)?;
                Self::Latency {
                    latency_ms: latency,
                    jitter_ms: jitter,
                }
            }
            "timeout" => Self::Timeout {
                timeout_ms: read::<TimeoutAttributes>(attributes)?.timeout,
            },
            "reset_peer" => Self::ResetPeer {
                timeout_ms: read::<TimeoutAttributes>(attributes)?.timeout,
            },
            "limit_data" => Self::LimitData {
                bytes: read::<LimitDataAttributes>(attributes)?.bytes,
            },
            "lose_answer" => {
                let read: LoseAnswerAttributes = read(attributes)?;
                Self::LoseAnswer {
                    protocol: read.protocol,
                    after_requests: read.after_requests,
                    share: read.share,
                    times: read.times,
                    min_answer_bytes: read.min_answer_bytes,
                    drain_ms: read.drain_ms,
                }
            }
            _ => return Err(ToxicError::InvalidType),
        })
    }

    /// The attributes as Toxiproxy writes them.
    pub fn attributes(&self) -> Map<String, Value> {
        let value = match self {
            Self::Latency {
                latency_ms,
                jitter_ms,
            } => serde_json::to_value(LatencyAttributes {
                latency: *latency_ms,
                jitter: *jitter_ms,
            }),
            Self::Timeout { timeout_ms } | Self::ResetPeer { timeout_ms } => {
                serde_json::to_value(TimeoutAttributes {
                    timeout: *timeout_ms,
                })
            }
            Self::LimitData { bytes } => {
                serde_json::to_value(LimitDataAttributes { bytes: *bytes })
            }
            Self::LoseAnswer {
                protocol,
                after_requests,
                share,
                times,
                min_answer_bytes,
                drain_ms,
            } => serde_json::to_value(LoseAnswerAttributes {
                protocol: *protocol,
                after_requests: *after_requests,
                share: *share,
                times: *times,
                min_answer_bytes: *min_answer_bytes,
                drain_ms: *drain_ms,
            }),
        };
        match value {
            Ok(Value::Object(attributes)) => attributes,
            _ => Map::new(),
        }
    }

    /// The same kind with these attributes changed.
    ///
    /// # Errors
    /// An attribute of the wrong type.
    pub fn with_attributes(&self, changes: Map<String, Value>) -> Result<Self, ToxicError> {
        let mut attributes = self.attributes();
        attributes.extend(changes);
        Self::from_attributes(self.type_name(), attributes)
    }
}

fn read<T: DeserializeOwned>(attributes: Value) -> Result<T, ToxicError> {
    serde_json::from_value(attributes)
        .map_err(|error| ToxicError::InvalidAttributes(error.to_string()))
}

/// What a request to add a toxic may leave out.
#[derive(Debug, Deserialize)]
struct Request {
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    type_name: String,
    #[serde(default = "downstream")]
    stream: String,
    #[serde(default = "everything")]
    toxicity: f64,
    #[serde(default)]
    attributes: Map<String, Value>,
}

fn downstream() -> String {
    Stream::Downstream.name().to_owned()
}

fn everything() -> f64 {
    1.0
}

impl Toxic {
    /// Reads a toxic as Toxiproxy's API takes it: downstream, on every connection and named `<type>_<stream>` unless it
    /// says otherwise.
    ///
    /// # Errors
    /// In Toxiproxy's order: JSON of another shape, an unknown stream, an unknown type, attributes of the wrong type.
    pub fn from_json(json: &[u8]) -> Result<Self, ToxicError> {
        let request: Request = serde_json::from_slice(json)
            .map_err(|error| ToxicError::InvalidAttributes(error.to_string()))?;
        let stream = match request.stream.to_ascii_lowercase().as_str() {
            "upstream" => Stream::Upstream,
            "downstream" => Stream::Downstream,
            _ => return Err(ToxicError::InvalidStream),
        };
        let kind = ToxicKind::from_attributes(&request.type_name, request.attributes)?;
        let mut toxic = Self::new(kind, stream);
        toxic.toxicity = request.toxicity;
        if !request.name.is_empty() {
            toxic.name = request.name;
        }
        toxic.validate()?;
        Ok(toxic)
    }

    /// Writes the toxic as Toxiproxy's API answers it.
    pub fn to_json(&self) -> Value {
        serde_json::json!({
            "attributes": self.kind.attributes(),
            "name": self.name,
            "type": self.kind.type_name(),
            "stream": self.stream.name(),
            "toxicity": self.toxicity,
        })
    }
}
