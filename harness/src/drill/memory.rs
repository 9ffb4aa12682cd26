//! What every instance holds in RAM, sampled into the journal as long as the drill goes on.

use std::{sync::Arc, time::Duration};

use firedrill_oracle::{memory::RESIDENT_MEMORY, record::Record};
use tokio::{task::JoinHandle, time::MissedTickBehavior};

use super::recorder::Recorder;
use crate::testbed::Pipeline;

/// Time between two samples. Each reads one small file of the kernel for every instance.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);

/// Samples until it is dropped.
pub(super) struct MemorySampler {
    source: Arc<Source>,
    sampling: JoinHandle<()>,
}

struct Source {
    pipeline: Arc<dyn Pipeline>,
    instances: Vec<String>,
    recorder: Arc<Recorder>,
}

impl MemorySampler {
    /// Begins to sample.
    pub(super) fn start(
        pipeline: Arc<dyn Pipeline>,
        instances: Vec<String>,
        recorder: Arc<Recorder>,
    ) -> Self {
        let source = Arc::new(Source {
            pipeline,
            instances,
            recorder,
        });
        let own = source.clone();
        let sampling = tokio::spawn(async move {
            let mut next = tokio::time::interval(SAMPLE_INTERVAL);
            next.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                next.tick().await;
                own.sample();
            }
        });
        Self { source, sampling }
    }

    /// Takes a sample now.
    pub(super) fn sample(&self) {
        self.source.sample();
    }
}

impl Drop for MemorySampler {
    fn drop(&mut self) {
        self.sampling.abort();
    }
}

impl Source {
    /// Instances that do not run at this moment hold nothing, and nothing is written of them.
    fn sample(&self) {
        let at_us = self.recorder.now_us();
        let samples: Vec<Record> = self
            .instances
            .iter()
            .filter_map(|instance| {
                let bytes = self.pipeline.resident_memory_bytes(instance)?;
                Some(Record::Sample {
                    at_us,
                    source: instance.clone(),
                    metric: RESIDENT_MEMORY.to_owned(),
                    #[allow(clippy::cast_precision_loss, reason = "no process holds 2^53 bytes")]
                    value: bytes as f64,
                })
            })
            .collect();
        self.recorder.write_all(&samples);
    }
}
