//! A browser, driven through WebDriver, and two additions of Chromium's driver: the log of the network and commands of the
//! debugging protocol.

use std::time::Duration;

use serde_json::{Value, json};
use thirtyfour::{By, Capabilities, WebDriver, WebElement, error::WebDriverError};

use super::{MechanismError, http};

/// A command to a browser takes no longer, or has failed; on a busy machine a picture takes seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// What the driver says of itself below what went wrong.
const STACK: &str = "Stacktrace:";

/// A browser's only window.
#[derive(Debug, Clone)]
pub struct Window {
    driver: WebDriver,
}

/// Something in the page.
#[derive(Debug, Clone, PartialEq)]
pub struct Element(WebElement);

impl Window {
    /// Takes over the browser at `debugger_address` through the driver at `driver_url`. The session ends with the browser.
    ///
    /// # Errors
    /// The driver does not answer, or refuses.
    pub async fn of(driver_url: &str, debugger_address: &str) -> Result<Self, MechanismError> {
        let failed = failure("taking a browser over");
        let wanted: Capabilities = serde_json::from_value(json!({
            "browserName": "chrome",
            // Who drives waits for what the page shows, not for its files.
            "pageLoadStrategy": "none",
            "goog:chromeOptions": { "debuggerAddress": debugger_address },
            "goog:loggingPrefs": { "performance": "ALL" },
        }))
        .map_err(|error| MechanismError::failed("taking a browser over", error))?;
        let driver = WebDriver::builder(driver_url, wanted)
            .client(http::patient_client(ANSWER_WITHIN))
            .await
            .map_err(failed)?;
        // Whoever started the browser ends it; else the last clone would ask the driver to, and block a thread meanwhile.
        driver
            .clone()
            .leak()
            .map_err(|error| MechanismError::failed("taking a browser over", error))?;
        Ok(Self { driver })
    }

    /// Goes to an address; returns before the page is there.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn go_to(&self, url: &str) -> Result<(), MechanismError> {
        let gone = self.driver.goto(url).await;
        gone.map_err(failure("opening a page"))
    }

    /// Loads the page again; returns before it is there.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn reload(&self) -> Result<(), MechanismError> {
        let loaded = self.driver.refresh().await;
        loaded.map_err(failure("loading a page again"))
    }

    /// The first element that a CSS selector means, if there is one.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn find(&self, selector: &str) -> Result<Option<Element>, MechanismError> {
        let found = self.driver.find_all(By::Css(selector)).await;
        let found = found.map_err(failure(&format!("looking for {selector}")))?;
        Ok(found.into_iter().next().map(Element))
    }

    /// The element that has the focus.
    ///
    /// # Errors
    /// None has it.
    pub async fn focused(&self) -> Result<Element, MechanismError> {
        let found = self.driver.active_element().await;
        found.map(Element).map_err(failure("looking for the focus"))
    }

    /// Clicks on an element, where a person would.
    ///
    /// # Errors
    /// It cannot be clicked.
    pub async fn click(&self, element: &Element) -> Result<(), MechanismError> {
        element.0.click().await.map_err(failure("clicking"))
    }

    /// Types into an element; keys without a sign of their own have the code points that WebDriver gives them.
    ///
    /// # Errors
    /// Nothing can be typed there.
    pub async fn type_into(&self, element: &Element, keys: &str) -> Result<(), MechanismError> {
        let typed = element.0.send_keys(keys).await;
        typed.map_err(failure("typing"))
    }

    /// What a script in the page returns.
    ///
    /// # Errors
    /// It throws.
    pub async fn evaluate(&self, script: &str) -> Result<Value, MechanismError> {
        let returned = self.driver.execute(script, Vec::new()).await;
        let returned = returned.map_err(failure("evaluating a script in a page"))?;
        Ok(returned.json().clone())
    }

    /// A picture of what is shown, PNG.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn picture(&self) -> Result<Vec<u8>, MechanismError> {
        let taken = self.driver.screenshot_as_png().await;
        taken.map_err(failure("taking a picture of a page"))
    }

    /// Events of the debugging protocol's `Network` domain since the last call, oldest first.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn network_events(&self) -> Result<Vec<Value>, MechanismError> {
        let entries = self.driver.get_log("performance").await;
        let entries = entries.map_err(failure("reading what a browser has sent"))?;
        let events = entries.iter().filter_map(|entry| {
            let mut entry: Value = serde_json::from_str(&entry.message).ok()?;
            Some(entry.get_mut("message")?.take())
        });
        Ok(events.collect())
    }

    /// Gives a command of the debugging protocol.
    ///
    /// # Errors
    /// The browser refuses it.
    pub async fn command(&self, command: &str, parameters: Value) -> Result<Value, MechanismError> {
        let answer = self.driver.cdp().send_raw(command, parameters).await;
        answer.map_err(failure(command))
    }
}

/// What went wrong, without the driver's own stack.
fn failure(doing: &str) -> impl FnOnce(WebDriverError) -> MechanismError {
    let doing = doing.to_owned();
    move |error| {
        let text = error.to_string();
        let said = text.split(STACK).next().unwrap_or(&text);
        MechanismError::failed(&doing, said.trim_end())
    }
}
