//! Letting customers come, and sending them home.

use std::{sync::Arc, time::Duration};

use firedrill_oracle::record::{OrderLine, Record};

use super::{Drill, DrillError, PROGRESS_INTERVAL, in_words};
use crate::{
    system::Product,
    testbed::Pipeline,
    workload::{
        Client, Customers, Generator, Habits, Identity, Outside, Pace, customers::JournalSink,
    },
};

/// How long customers wait for an answer.
const CUSTOMER_PATIENCE: Duration = Duration::from_secs(5);

/// How long a step may wait for customers to have made so many attempts.
const ATTEMPTS_LIMIT: Duration = Duration::from_secs(60);

impl Drill {
    /// Lets customers come until they are stopped.
    ///
    /// # Errors
    /// The pipeline could not be started.
    pub async fn customers_come(&mut self, pace: Pace, habits: Habits) -> Result<(), DrillError> {
        self.ensure_running().await?;
        let (client, generator) = self.client_and_generator()?;
        let identity = self.identity()?;
        if habits.forged && identity.is_none() {
            return Err(DrillError::Harness(
                "nobody issues tokens that could be forged: name who does in `[customers] identity` of the topology"
                    .into(),
            ));
        }
        let sink = self.journal_sink();
        self.customers.push(Customers::start(
            client, identity, generator, pace, habits, self.clock, sink,
        ));
        self.rest = None;
        Ok(())
    }

    /// Lets so many customers order the same product at the same moment and waits for their outcomes.
    ///
    /// # Errors
    /// The pipeline could not be started.
    pub async fn customers_rush(
        &mut self,
        count: u32,
        quantity: i64,
        habits: Habits,
    ) -> Result<(), DrillError> {
        self.ensure_running().await?;
        let line = self.first_lines(1, quantity)?;
        self.rush(count, habits, |_| line.clone()).await
    }

    /// Lets so many customers order one unit each of the same products at the same moment, every other one naming them
    /// in the opposite order, and waits for their outcomes.
    ///
    /// # Errors
    /// The pipeline could not be started.
    pub async fn customers_rush_crosswise(
        &mut self,
        count: u32,
        products: usize,
        habits: Habits,
    ) -> Result<(), DrillError> {
        self.ensure_running().await?;
        let forth = self.first_lines(products, 1)?;
        let back: Vec<_> = forth.iter().rev().cloned().collect();
        self.rush(count, habits, |number| {
            if number % 2 == 0 { &forth } else { &back }.clone()
        })
        .await
    }

    /// A line for each of the first products.
    fn first_lines(&self, products: usize, quantity: i64) -> Result<Vec<OrderLine>, DrillError> {
        let for_sale = &self.running()?.assortment.products;
        if products == 0 || for_sale.len() < products {
            return Err(DrillError::Harness(format!(
                "there are {} products, {products} are to be ordered: say how many in a Given step",
                for_sale.len()
            )));
        }
        let line = |product: &Product| OrderLine {
            product_id: product.product_id.clone(),
            quantity,
        };
        Ok(for_sale.iter().take(products).map(line).collect())
    }

    /// Raises the price of everything that is for sale; customers who are there go on with what they were shown.
    ///
    /// # Errors
    /// The pipeline could not be started, or the prices could not be changed.
    pub async fn prices_rise(&mut self, percent: u32) -> Result<(), DrillError> {
        self.ensure_running().await?;
        let running = self.running()?;
        let risen = |product: &Product| Product {
            price_minor: product.price_minor
                + (product.price_minor * i64::from(percent) / 100).max(1),
            ..product.clone()
        };
        let products: Vec<_> = running.assortment.products.iter().map(risen).collect();
        running
            .observer
            .change_prices(&products)
            .await
            .map_err(in_words)
    }

    async fn rush(
        &mut self,
        count: u32,
        habits: Habits,
        lines: impl Fn(u32) -> Vec<OrderLine>,
    ) -> Result<(), DrillError> {
        let (client, mut generator) = self.client_and_generator()?;
        let intents = (0..count)
            .map(|number| generator.intent(lines(number), habits.with_key))
            .collect();
        let sink = self.journal_sink();
        let identity = self.identity()?;
        let customers =
            Customers::start_at_once(client, identity, intents, habits, self.clock, sink);
        customers.wait_for_attempts(u64::from(count)).await;
        self.customers.push(customers);
        self.rest = None;
        Ok(())
    }

    /// Waits until customers have made so many attempts in all since they came.
    ///
    /// # Errors
    /// Nobody comes, they were too slow, or the run was interrupted.
    pub async fn wait_for_attempts(&mut self, count: u64) -> Result<(), DrillError> {
        let Some(customers) = self.customers.last() else {
            return Err(DrillError::Harness(
                "no customers come: let them come in an earlier step".into(),
            ));
        };
        let waited = tokio::time::timeout(ATTEMPTS_LIMIT, customers.wait_for_attempts(count));
        let mut waited = std::pin::pin!(waited);
        loop {
            tokio::select! {
                ended = &mut waited => {
                    return ended.map_err(|_| DrillError::Harness(format!(
                        "customers made {} of {count} attempts within {} s",
                        customers.report().attempted,
                        ATTEMPTS_LIMIT.as_secs()
                    )));
                }
                () = self.run.cancel.cancelled() => return Err(DrillError::Interrupted),
                () = tokio::time::sleep(PROGRESS_INTERVAL) => self.tell_progress(&[]),
            }
        }
    }

    /// Waits until customers have made so many attempts more than they have made now.
    ///
    /// # Errors
    /// As [`Drill::wait_for_attempts`].
    pub async fn wait_for_more_attempts(&mut self, count: u64) -> Result<(), DrillError> {
        let so_far = self
            .customers
            .last()
            .map_or(0, |customers| customers.report().attempted);
        self.wait_for_attempts(so_far + count).await
    }

    /// Nobody new comes; everybody under way gets an outcome.
    pub async fn customers_leave(&mut self) {
        for mut customers in std::mem::take(&mut self.customers) {
            let report = customers.stop(CUSTOMER_PATIENCE * 2).await;
            self.so_far.attempted += report.attempted;
            self.so_far.accepted += report.accepted;
            self.so_far.refused += report.refused;
            self.so_far.unknown += report.unknown;
            if report.held_back > 0 {
                self.recorder.write(&Record::Sample {
                    at_us: self.recorder.now_us(),
                    source: "customers".into(),
                    metric: "held_back_count".into(),
                    #[allow(clippy::cast_precision_loss)]
                    value: report.held_back as f64,
                });
            }
        }
    }

    /// How customers reach a pipeline.
    fn outside(&self, pipeline: &dyn Pipeline) -> Outside {
        let without = self.arrangement.without_as_well(&self.order.without);
        Outside {
            certificate_authority_pem: pipeline.certificate_authority_pem().to_owned(),
            patience: CUSTOMER_PATIENCE,
            name_server: pipeline.customers_name_server(),
            verifies: self.run.topology.customers_verify(&without),
        }
    }

    fn client_and_generator(&mut self) -> Result<(Client, Generator), DrillError> {
        self.groups_of_customers += 1;
        let running = self.running()?;
        let entry_url = running.pipeline.entry_url();
        let outside = self.outside(&*running.pipeline);
        let client = Client::new(&entry_url, &outside).map_err(in_words)?;
        let prefix = format!("{}-{}", self.order.short_name(), self.groups_of_customers);
        let seed = self.order.seed.wrapping_add(self.groups_of_customers);
        Ok((
            client,
            Generator::new(seed, running.assortment.clone(), prefix),
        ))
    }

    /// Where customers get their tokens; the same for all groups of customers, so that a token is kept for all.
    fn identity(&mut self) -> Result<Option<Arc<Identity>>, DrillError> {
        if self.identity.is_none()
            && let Some(issuer) = self.run.topology.identity.clone()
        {
            let pipeline = &self.running()?.pipeline;
            let Some(url) = pipeline.identity_url() else {
                return Ok(None);
            };
            let instances = pipeline.instances(&issuer.component);
            let control = instances
                .first()
                .and_then(|instance| pipeline.address(instance, "http"));
            let identity = Identity::new(&url, &self.outside(&**pipeline), control);
            self.identity = Some(Arc::new(identity.map_err(in_words)?));
        }
        Ok(self.identity.clone())
    }

    pub(super) fn journal_sink(&self) -> JournalSink {
        let recorder = self.recorder.clone();
        Arc::new(move |record| recorder.write(&record))
    }
}
