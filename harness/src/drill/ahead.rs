//! Pipelines that are started before their drills need them, so that a drill does not wait for processes to start.
//!
//! A run knows its drills. While one is under way, the pipeline of the next is started in the background and handed over
//! when that drill asks for exactly such a pipeline; if it asks for another, it gets one of its own. Whatever goes wrong with
//! a pipeline that was started ahead is told to the drill that it was meant for.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::try_join_all;
use tokio::task::JoinHandle;

use crate::{
    testbed::{Pipeline, PipelineRequest, Testbed, TestbedError},
    topology::Topology,
};

/// Pipelines that stand ready or are being started for drills that have not begun, so that two drills that end together are
/// both followed at once. Each costs as much memory as a drill.
const PIPELINES_AHEAD: usize = 2;

/// How long an instance that was ready once may take to say so again when its pipeline is handed over.
const READY_AGAIN_LIMIT: Duration = Duration::from_secs(10);

/// What will be needed, and what has been started for it.
pub struct Ahead {
    testbed: Arc<dyn Testbed>,
    topology: Arc<Topology>,
    state: Mutex<State>,
}

struct State {
    /// Drills that have not begun, by index, in order.
    upcoming: VecDeque<(usize, PipelineRequest)>,
    started: Vec<Started>,
}

struct Started {
    index: usize,
    request: PipelineRequest,
    starting: JoinHandle<Result<Arc<dyn Pipeline>, TestbedError>>,
}

impl Ahead {
    /// `upcoming` are the drills of a run by index, in their order, with what each is going to ask for. A drill that is not
    /// among them starts its own pipeline.
    pub fn new(
        testbed: Arc<dyn Testbed>,
        topology: Arc<Topology>,
        upcoming: impl IntoIterator<Item = (usize, PipelineRequest)>,
    ) -> Self {
        Self {
            testbed,
            topology,
            state: Mutex::new(State {
                upcoming: upcoming.into_iter().collect(),
                started: Vec::new(),
            }),
        }
    }

    /// A pipeline in which every instance is ready, for the drill of this index.
    ///
    /// # Errors
    /// It could not be started, or it was no longer ready when it was handed over; nothing is left of it then.
    pub async fn take(
        &self,
        index: usize,
        request: PipelineRequest,
    ) -> Result<Arc<dyn Pipeline>, TestbedError> {
        match self.started_for(index) {
            Some(started) if started.request.asks_for_the_same(&request) => {
                self.hand_over(started).await
            }
            Some(other) => {
                tracing::info!(index, "the pipeline that was started ahead is another");
                match end(other).await {
                    Ok(()) => self.testbed.start(request).await,
                    Err(error) => Err(error),
                }
            }
            None => self.testbed.start(request).await,
        }
    }

    /// The drill of this index has ended: whatever was started for it and not taken is ended.
    ///
    /// # Errors
    /// It could not be ended.
    pub async fn release(&self, index: usize) -> Result<(), TestbedError> {
        match self.started_for(index) {
            Some(started) => end(started).await,
            None => Ok(()),
        }
    }

    /// Ends everything that nobody has taken and starts nothing more. Says what went wrong.
    pub async fn close(&self) -> Vec<String> {
        let left = {
            let mut state = self.locked();
            state.upcoming.clear();
            std::mem::take(&mut state.started)
        };
        let mut failures = Vec::new();
        for started in left {
            failures.extend(end(started).await.err().map(|error| error.to_string()));
        }
        failures
    }

    async fn hand_over(&self, started: Started) -> Result<Arc<dyn Pipeline>, TestbedError> {
        let pipeline = joined(started.starting.await)?;
        let components = self.topology.started();
        let instances: Vec<String> = components
            .flat_map(|component| pipeline.instances(&component.name))
            .collect();
        let asked = instances
            .iter()
            .map(|instance| pipeline.ready(instance, READY_AGAIN_LIMIT));
        match try_join_all(asked).await {
            Ok(_) => Ok(pipeline),
            Err(error) => {
                pipeline.stop().await?;
                Err(error)
            }
        }
    }

    /// Begins to start the pipeline of the drill that is next, unless enough stand ready or are being started.
    pub fn start_next(&self) {
        let mut state = self.locked();
        if state.started.len() >= PIPELINES_AHEAD {
            return;
        }
        let Some((index, request)) = state.upcoming.pop_front() else {
            return;
        };
        if request.cancel.is_cancelled() {
            return;
        }
        let testbed = Arc::clone(&self.testbed);
        let asked = PipelineRequest {
            in_background: true,
            ..request.clone()
        };
        let starting = tokio::spawn(async move { testbed.start(asked).await });
        state.started.push(Started {
            index,
            request,
            starting,
        });
    }

    /// What was started for a drill; it is not upcoming any more.
    fn started_for(&self, index: usize) -> Option<Started> {
        let mut state = self.locked();
        state.upcoming.retain(|(upcoming, _)| *upcoming != index);
        let place = state
            .started
            .iter()
            .position(|started| started.index == index)?;
        Some(state.started.remove(place))
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a pipeline that nobody takes. That it could not be started is no concern any more, unless something is left of it.
async fn end(started: Started) -> Result<(), TestbedError> {
    match joined(started.starting.await) {
        Ok(pipeline) => pipeline.stop().await,
        Err(error) => {
            tracing::info!(index = started.index, %error, "a pipeline that nobody needs");
            Ok(())
        }
    }
}

fn joined(
    ended: Result<Result<Arc<dyn Pipeline>, TestbedError>, tokio::task::JoinError>,
) -> Result<Arc<dyn Pipeline>, TestbedError> {
    ended.unwrap_or_else(|error| {
        Err(TestbedError::Failed {
            doing: "starting a pipeline ahead of its drill".to_owned(),
            reason: error.to_string(),
        })
    })
}
