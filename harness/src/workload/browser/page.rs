//! What a shopper does in the page and waits for: with mouse and keys only, and the page is found by its labels and ids.

use std::{io, path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    mechanism::{
        MechanismError,
        webdriver::{Element, Window},
    },
    testbed::Browser,
    workload::identity::PASSWORD,
};

/// How long the page may take to do anything that a shopper waits for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks at the page.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// The shopper could not do or see something.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// The browser or its driver failed.
    #[error(transparent)]
    Browser(#[from] MechanismError),
    /// The page did not come to show something.
    #[error("the page did not show {what} within {} s; it shows: {shown}", PATIENCE.as_secs())]
    NotShown {
        /// What was waited for.
        what: String,
        /// What the page says instead.
        shown: String,
    },
    /// A picture could not be kept.
    #[error("a picture of the page could not be written: {0}")]
    Picture(#[from] io::Error),
}

/// A page in a browser.
#[derive(Debug, Clone)]
pub struct Page {
    /// The browser's window.
    pub window: Window,
}

impl Page {
    /// Takes the browser's only window, gives it this size in CSS pixels, and opens the page in it.
    ///
    /// # Errors
    /// The browser cannot be driven, or the page does not get ready.
    pub async fn open(
        browser: &Browser,
        url: &str,
        width: u32,
        height: u32,
    ) -> Result<Self, ShopError> {
        let window = Window::of(&browser.driver_url, &browser.debugger_address).await?;
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        let command = "Emulation.setDeviceMetricsOverride";
        window.command(command, metrics).await?;
        let page = Self { window };
        page.window.go_to(url).await?;
        page.wait_for("html[data-ready=yes]", "the shop").await?;
        Ok(page)
    }

    /// Signs in.
    ///
    /// # Errors
    /// The page does not say that the shopper is signed in.
    pub async fn sign_in(&self, customer: &str) -> Result<(), ShopError> {
        let name = self.wait_for("#customer", "a field for the name").await?;
        self.window.type_into(&name, customer).await?;
        if let Some(password) = self
            .window
            .find("#password-row:not([hidden]) input")
            .await?
        {
            self.window.type_into(&password, PASSWORD).await?;
        }
        self.click("#sign-in button[type=submit]", "a button to sign in with")
            .await?;
        let signed_in = "#signed-in:not([hidden])";
        self.wait_for(signed_in, "that the shopper is signed in")
            .await?;
        Ok(())
    }

    /// Puts units of a product into the basket.
    ///
    /// # Errors
    /// The product is not for sale.
    pub async fn put_into_basket(&self, product_id: &str, units: i64) -> Result<(), ShopError> {
        let add = format!("#products li[data-product='{product_id}'] button:enabled");
        for _ in 0..units {
            self.click(&add, &format!("{product_id} for sale")).await?;
        }
        Ok(())
    }

    /// Presses the button that pays and waits until the page says what came of it.
    ///
    /// # Errors
    /// There is nothing to pay, or the page says nothing.
    pub async fn pay(&self) -> Result<(), ShopError> {
        self.click("#pay:enabled", "a button to pay with").await?;
        let told = "#pay-note[data-outcome]";
        self.wait_for(told, "what came of the payment").await?;
        Ok(())
    }

    /// Whether there is something to be paid.
    ///
    /// # Errors
    /// The browser fails.
    pub async fn can_pay(&self) -> Result<bool, ShopError> {
        Ok(self.window.find("#pay:enabled").await?.is_some())
    }

    /// Waits until the page shows that the order is in a state.
    ///
    /// # Errors
    /// It does not.
    pub async fn wait_for_state(&self, state: &str) -> Result<(), ShopError> {
        let shown = format!("#order-status[data-state='{state}']");
        self.wait_for(&shown, &format!("an order that is {state}"))
            .await?;
        Ok(())
    }

    /// Waits until these words stand in the page.
    ///
    /// # Errors
    /// They do not come.
    pub async fn wait_for_words(&self, words: &str) -> Result<(), ShopError> {
        let stand_there = format!(
            "return document.body.innerText.includes({})",
            Value::from(words)
        );
        let deadline = Instant::now() + PATIENCE;
        while self.window.evaluate(&stand_there).await? != Value::Bool(true) {
            if Instant::now() >= deadline {
                return Err(self.not_shown(&format!("{words:?}")).await?);
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
        Ok(())
    }

    /// Presses keys where the focus is.
    ///
    /// # Errors
    /// The browser fails.
    pub async fn press(&self, keys: &str) -> Result<(), ShopError> {
        let focused = self.window.focused().await?;
        Ok(self.window.type_into(&focused, keys).await?)
    }

    /// Waits until something is in the page, by its CSS selector; `what` says it in words.
    ///
    /// # Errors
    /// It does not come.
    pub async fn wait_for(&self, selector: &str, what: &str) -> Result<Element, ShopError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(element) = self.window.find(selector).await? {
                return Ok(element);
            }
            if Instant::now() >= deadline {
                return Err(self.not_shown(what).await?);
            }
            tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    }

    /// What was waited for in vain, and what the page shows instead.
    async fn not_shown(&self, what: &str) -> Result<ShopError, ShopError> {
        let shown = self
            .window
            .evaluate("return document.body.innerText")
            .await?;
        Ok(ShopError::NotShown {
            what: what.to_owned(),
            shown: shown.as_str().unwrap_or_default().replace('\n', " / "),
        })
    }

    /// Takes a picture of the page.
    ///
    /// # Errors
    /// The browser fails, or the file cannot be written.
    pub async fn picture(&self, path: &Path) -> Result<(), ShopError> {
        let picture = self.window.picture().await?;
        Ok(std::fs::write(path, picture)?)
    }

    /// The body of an answer that the browser keeps, as bytes.
    pub(super) async fn answer_body(&self, request: &str) -> Option<Vec<u8>> {
        let asked = json!({ "requestId": request });
        let kept: Value = self
            .window
            .command("Network.getResponseBody", asked)
            .await
            .ok()?;
        let body = kept["body"].as_str()?;
        if kept["base64Encoded"] == true {
            return STANDARD.decode(body).ok();
        }
        Some(body.as_bytes().to_vec())
    }

    async fn click(&self, selector: &str, what: &str) -> Result<(), ShopError> {
        let element = self.wait_for(selector, what).await?;
        Ok(self.window.click(&element).await?)
    }
}
