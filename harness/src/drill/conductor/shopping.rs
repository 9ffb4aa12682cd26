//! A shopper with a browser: opens the page, buys, presses the button again, goes home.

use super::{Drill, DrillError, from_testbed, in_words};
use crate::workload::browser::{ShopError, Shopper};

/// Name of the shopper's browser, of its log and of the pictures it leaves.
const SHOPPER: &str = "shopper";
/// The customer as whom the shopper signs in.
const CUSTOMER: &str = "shopper-001";

impl Drill {
    /// Opens the shop in a browser and signs in.
    ///
    /// # Errors
    /// There is no browser (the drill is skipped), or the page did not come up.
    pub async fn shopper_opens_the_shop(&mut self) -> Result<(), DrillError> {
        self.run.ask_for_a_browser()?;
        self.ensure_running().await?;
        let sink = self.journal_sink();
        let pipeline = &self.running()?.pipeline;
        let Some(url) = pipeline.page_url() else {
            return Err(DrillError::Harness(
                "the topology says no `page` in [customers] that could be opened".into(),
            ));
        };
        let browser = pipeline.open_browser(SHOPPER).await.map_err(from_testbed)?;
        let opened = Shopper::open(&browser, &url, CUSTOMER, self.clock, sink).await;
        self.shopper = Some(opened.map_err(in_words)?);
        Ok(())
    }

    /// Has the shopper buy units of the product that stands at a place of the assortment, from 1, and waits until the page
    /// says what came of it.
    ///
    /// # Errors
    /// No shopper has the shop open, there is no such product, or the page does not do it.
    pub async fn shopper_buys(&mut self, units: i64, place: usize) -> Result<(), DrillError> {
        let products = &self.running()?.assortment.products;
        let product = place.checked_sub(1).and_then(|index| products.get(index));
        let product = product
            .map(|product| product.product_id.clone())
            .ok_or_else(|| {
                DrillError::Harness(format!(
                    "there are {} products, not {place}",
                    products.len()
                ))
            })?;
        self.shop(async |shopper| shopper.buy(&product, units).await)
            .await
    }

    /// Has the shopper press the button again.
    ///
    /// # Errors
    /// As [`Drill::shopper_buys`].
    pub async fn shopper_pays_again(&mut self) -> Result<(), DrillError> {
        self.shop(async |shopper| shopper.pay_again().await).await
    }

    /// Waits until the page shows the shopper that the order is in a state.
    ///
    /// # Errors
    /// As [`Drill::shopper_buys`].
    pub async fn shopper_sees(&mut self, state: &str) -> Result<(), DrillError> {
        self.shop(async |shopper| shopper.page.wait_for_state(state).await)
            .await
    }

    /// Waits until the shopper can read these words in the page.
    ///
    /// # Errors
    /// As [`Drill::shopper_buys`].
    pub async fn shopper_reads(&mut self, words: &str) -> Result<(), DrillError> {
        self.shop(async |shopper| shopper.page.wait_for_words(words).await)
            .await
    }

    /// The shopper goes home; a picture of what the page showed last stays in the drill's folder.
    pub(super) async fn shopper_leaves(&mut self) {
        let Some(mut shopper) = self.shopper.take() else {
            return;
        };
        let left = shopper
            .leave(&self.order.folder.join(format!("{SHOPPER}.png")))
            .await;
        let report = shopper.report();
        self.so_far.attempted += report.attempted;
        self.so_far.accepted += report.accepted;
        self.so_far.refused += report.refused;
        self.so_far.unknown += report.unknown;
        if let Err(error) = left {
            self.fail(&in_words(error));
        }
    }

    async fn shop<F>(&mut self, act: F) -> Result<(), DrillError>
    where
        F: AsyncFnOnce(&mut Shopper) -> Result<(), ShopError>,
    {
        self.rest = None;
        let cancel = self.run.cancel.clone();
        let Some(shopper) = self.shopper.as_mut() else {
            return Err(DrillError::Harness(
                "no shopper has the shop open: let one open it in an earlier step".into(),
            ));
        };
        let acted = tokio::select! {
            acted = act(shopper) => acted,
            () = cancel.cancelled() => return Err(DrillError::Interrupted),
        };
        self.tell_progress(&[]);
        acted.map_err(in_words)
    }
}
