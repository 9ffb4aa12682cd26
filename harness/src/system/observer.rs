//! Reading what `observations.toml` names, all at once, with connections that stay open.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use firedrill_oracle::record::{Fact, FactKind};
use futures::{StreamExt, TryStreamExt, future::join_all, stream};
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::OnceCell;

use super::{
    Count, Endpoint, FactSource, Observations, Outstanding, Place, Product, Reading, Settled,
    Statement, arrange, endpoint,
    queue::{QueueReader, QueueRecord},
    sql,
};
use crate::testbed::Pipeline;

/// Places that are read at once.
const AT_ONCE: usize = 8;
/// How long reading one place may take.
const READ_LIMIT: Duration = Duration::from_secs(60);
/// How long counting what is outstanding may take.
const COUNT_LIMIT: Duration = Duration::from_secs(10);
/// How long one HTTP answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The system could not be looked at; never a finding about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be read: {reason}")]
pub struct ObservationError {
    /// What was to be read, in words.
    pub what: String,
    /// Why it could not be, and what to do.
    pub reason: String,
}

/// Looks at a pipeline, past every proxy.
pub struct Observer {
    pipeline: Arc<dyn Pipeline>,
    observations: Arc<Observations>,
    pools: BTreeMap<String, PgPool>,
    client: reqwest::Client,
    queue: Option<Arc<QueueReader>>,
    prefix: String,
}

/// What several sources share in one observation: each endpoint is asked once, the topics are read once.
#[derive(Default)]
struct Shared {
    answers: HashMap<Endpoint, OnceCell<Result<Value, String>>>,
    records: OnceCell<Result<Vec<QueueRecord>, String>>,
    topics: Vec<String>,
}

impl Observer {
    /// An observer of a pipeline; connections are opened when they are needed.
    ///
    /// # Errors
    /// A database address of the pipeline cannot be understood, or the HTTP client cannot be made.
    pub fn new(
        pipeline: Arc<dyn Pipeline>,
        observations: Arc<Observations>,
    ) -> Result<Self, ObservationError> {
        let mut pools = BTreeMap::new();
        for component in observations.databases() {
            let Some(url) = pipeline.database_url(component) else {
                continue;
            };
            let pool = sql::pool(&url).map_err(|error| ObservationError {
                what: format!("the database of {component}"),
                reason: error.to_string(),
            })?;
            pools.insert(component.to_owned(), pool);
        }
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(ANSWER_LIMIT)
            .build()
            .map_err(|error| ObservationError {
                what: "any endpoint".to_owned(),
                reason: error.to_string(),
            })?;
        let access = pipeline.kafka();
        Ok(Self {
            prefix: access
                .as_ref()
                .map(|access| access.topic_prefix.clone())
                .unwrap_or_default(),
            queue: access.map(|access| Arc::new(QueueReader::new(access))),
            pipeline,
            observations,
            pools,
            client,
        })
    }

    /// Reads every fact; a place that cannot be read has the reason in its reading.
    pub async fn observe(&self) -> Vec<Reading> {
        let shared = Shared::of(&self.observations.sources);
        stream::iter(&self.observations.sources)
            .map(|source| self.read(source, &shared))
            .buffered(AT_ONCE)
            .collect()
            .await
    }

    /// Asks for what is shown of the stock, as customers who only look would; what is answered does not matter.
    ///
    /// # Errors
    /// Nothing says where it is shown, or an instance does not show it.
    pub async fn show_stock(&self) -> Result<(), ObservationError> {
        let failed = |reason: String| ObservationError {
            what: FactKind::ShownStock.words().to_owned(),
            reason,
        };
        let sources = &self.observations.sources;
        let shown = sources
            .iter()
            .find(|source| source.kind == FactKind::ShownStock);
        let source =
            shown.ok_or_else(|| failed("no `[[observe]]` says where it is shown".to_owned()))?;
        let reading = self.read(source, &Shared::default()).await;
        reading.error.map_or(Ok(()), |reason| Err(failed(reason)))
    }

    /// Opens the connections that looking needs. The first question about a group takes a client of the queue a second
    /// or more, which nobody should wait for who wants to know whether the system has come to rest.
    pub async fn get_ready(&self) {
        if let Err(error) = self.outstanding().await {
            tracing::debug!(%error, "whoever looks next tries again");
        }
    }

    /// What keeps the system from being at rest; nothing when it is.
    ///
    /// # Errors
    /// Something could not be counted.
    pub async fn outstanding(&self) -> Result<Vec<Outstanding>, ObservationError> {
        let settled = self.observations.settled.iter();
        let counting: Vec<_> = settled
            .map(|settled| self.count_outstanding(settled))
            .collect();
        let counted: Vec<Outstanding> = stream::iter(counting)
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(counted.into_iter().filter(|one| one.count > 0).collect())
    }

    async fn count_outstanding(&self, settled: &Settled) -> Result<Outstanding, ObservationError> {
        let counting = tokio::time::timeout(COUNT_LIMIT, self.count(&settled.count)).await;
        let limit = COUNT_LIMIT.as_secs();
        let count = counting
            .unwrap_or_else(|_| Err(format!("no answer within {limit} s")))
            .map_err(|reason| ObservationError {
                what: format!("the number of {}", settled.name),
                reason,
            })?;
        Ok(Outstanding {
            name: settled.name.clone(),
            count,
            moving: settled.moving,
        })
    }

    /// Puts products and stock in place.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn arrange_products(&self, products: &[Product]) -> Result<(), ObservationError> {
        self.arrange(&self.observations.products, products).await
    }

    /// Gives products that are there the prices of these.
    ///
    /// # Errors
    /// A statement failed, or nothing says how prices are changed.
    pub async fn change_prices(&self, products: &[Product]) -> Result<(), ObservationError> {
        if self.observations.prices.is_empty() {
            return Err(ObservationError {
                what: "the prices".to_owned(),
                reason: format!(
                    "{} has no [[arrange.prices]]",
                    self.observations.path.display()
                ),
            });
        }
        self.arrange(&self.observations.prices, products).await
    }

    async fn arrange(
        &self,
        statements: &[Statement],
        products: &[Product],
    ) -> Result<(), ObservationError> {
        for statement in statements {
            let executed = match self.pool(&statement.component) {
                Ok(pool) => arrange::execute(pool, &statement.sql, products).await,
                Err(reason) => Err(reason),
            };
            executed.map_err(|reason| ObservationError {
                what: format!("the products for {}", statement.component),
                reason,
            })?;
        }
        Ok(())
    }

    /// Closes the connections, so that the databases can be removed and the broker can go. To be called before the
    /// pipeline is stopped.
    pub async fn close(&self) {
        join_all(self.pools.values().map(PgPool::close)).await;
        if let Some(queue) = self.queue.clone() {
            let closed = blocking(move || {
                queue.close();
                Ok(())
            });
            if let Err(error) = closed.await {
                tracing::debug!(error, "closing the clients of the queue");
            }
        }
    }

    async fn read(&self, source: &FactSource, shared: &Shared) -> Reading {
        let mut facts = Vec::new();
        let reading =
            tokio::time::timeout(READ_LIMIT, self.read_place(source, shared, &mut facts)).await;
        let limit = READ_LIMIT.as_secs();
        let outcome = reading.unwrap_or_else(|_| Err(format!("not read within {limit} s")));
        Reading {
            kind: source.kind,
            source: source.place.words(),
            facts,
            error: outcome.err(),
        }
    }

    async fn read_place(
        &self,
        source: &FactSource,
        shared: &Shared,
        facts: &mut Vec<Fact>,
    ) -> Result<(), String> {
        match &source.place {
            Place::Sql(statement) => {
                let pool = self.pool(&statement.component)?;
                sql::read(pool, source.kind, &statement.sql, facts).await
            }
            Place::Endpoint {
                endpoint,
                list,
                fields,
            } => {
                if source.kind == FactKind::ShownStock {
                    // Each instance has a picture of its own.
                    let pipeline = self.pipeline.as_ref();
                    for answer in endpoint::ask_all(&self.client, pipeline, endpoint).await? {
                        endpoint::read(&answer, list, fields, source.kind, facts)?;
                    }
                    return Ok(());
                }
                let answer = self.answer(endpoint, shared).await?;
                endpoint::read(answer, list, fields, source.kind, facts)
            }
            Place::Messages { topics, fields } => {
                for record in self
                    .records(shared)
                    .await?
                    .iter()
                    .filter(|one| topics.contains(&one.topic))
                {
                    facts.push(record.message(fields)?);
                }
                Ok(())
            }
            Place::Parked { topics, headers } => {
                for record in self
                    .records(shared)
                    .await?
                    .iter()
                    .filter(|one| topics.contains(&one.topic))
                {
                    facts.push(record.parked(headers, &self.prefix)?);
                }
                Ok(())
            }
            Place::Progress(wanted) => {
                let (queue, asked) = (self.queue()?, wanted.clone());
                let progress = blocking(move || queue.progress(&asked)).await?;
                facts.extend(progress.into_iter().map(|one| one.into_fact(&wanted.group)));
                Ok(())
            }
        }
    }

    async fn count(&self, count: &Count) -> Result<u64, String> {
        match count {
            Count::Sql(statement) => {
                sql::count(self.pool(&statement.component)?, &statement.sql).await
            }
            Count::Lag(wanted) => {
                let (queue, wanted) = (self.queue()?, wanted.clone());
                let progress = blocking(move || queue.progress(&wanted)).await?;
                Ok(progress.iter().map(|one| one.lag()).sum())
            }
        }
    }

    async fn answer<'a>(
        &self,
        endpoint: &Endpoint,
        shared: &'a Shared,
    ) -> Result<&'a Value, String> {
        let Some(cell) = shared.answers.get(endpoint) else {
            return Err("the endpoint is not known".to_owned());
        };
        let asked =
            cell.get_or_init(|| endpoint::ask(&self.client, self.pipeline.as_ref(), endpoint));
        asked.await.as_ref().map_err(Clone::clone)
    }

    async fn records<'a>(&self, shared: &'a Shared) -> Result<&'a Vec<QueueRecord>, String> {
        let read = shared.records.get_or_init(async || {
            let (queue, topics) = (self.queue()?, shared.topics.clone());
            blocking(move || queue.read(&topics, READ_LIMIT)).await
        });
        read.await.as_ref().map_err(Clone::clone)
    }

    fn pool(&self, component: &str) -> Result<&PgPool, String> {
        let missing = || format!("{component} has no database in this pipeline");
        self.pools.get(component).ok_or_else(missing)
    }

    fn queue(&self) -> Result<Arc<QueueReader>, String> {
        let missing = || "there is no broker in this pipeline".to_owned();
        self.queue.clone().ok_or_else(missing)
    }
}

impl Shared {
    fn of(sources: &[FactSource]) -> Self {
        let mut shared = Self::default();
        for source in sources {
            match &source.place {
                Place::Endpoint { endpoint, .. } => {
                    shared.answers.entry(endpoint.clone()).or_default();
                }
                Place::Messages { topics, .. } | Place::Parked { topics, .. } => {
                    shared.topics.extend(topics.iter().cloned());
                }
                Place::Sql(_) | Place::Progress(_) => {}
            }
        }
        shared.topics.sort();
        shared.topics.dedup();
        shared
    }
}

impl Observations {
    /// The components whose databases are read or written.
    fn databases(&self) -> impl Iterator<Item = &str> {
        let sources = self
            .sources
            .iter()
            .filter_map(|source| match &source.place {
                Place::Sql(statement) => Some(statement),
                _ => None,
            });
        let counts = self
            .settled
            .iter()
            .filter_map(|settled| match &settled.count {
                Count::Sql(statement) => Some(statement),
                Count::Lag(_) => None,
            });
        sources
            .chain(counts)
            .chain(&self.products)
            .chain(&self.prices)
            .map(|statement| statement.component.as_str())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(format!("reading the queue ended early: {error}")))
}
