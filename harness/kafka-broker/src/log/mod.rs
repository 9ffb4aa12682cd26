//! Topics, their settings and partitions, and what a partition knows about batches and producers.

mod batch;
mod partition;
mod producers;
mod record;
mod retention;
mod settings;
mod topics;

pub(crate) use batch::{BatchHeader, build_batch};
pub(crate) use partition::{Appended, Partition, Read};
pub use record::{Record, RecordHeader};
pub(crate) use record::{RecordsError, decode_records};
pub(crate) use settings::{SettingError, SettingKind, SettingSource, TopicSettings};
pub(crate) use topics::{Topic, Topics};
