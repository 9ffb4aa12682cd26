//! A browser, driven through WebDriver as the W3C defines it, and two additions of Chromium's driver: the log of the network
//! and commands of the debugging protocol.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};

use super::{MechanismError, http::Api};

/// A command to a browser takes no longer, or has failed; on a busy machine a picture takes seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Name of an element's id in answers (W3C WebDriver, section 11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser's only window.
#[derive(Debug, Clone)]
pub struct Window {
    api: Api,
    session: String,
}

/// Something in the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element(String);

impl Window {
    /// Takes over the browser at `debugger_address` through the driver at `driver_url`. The session ends with the browser.
    ///
    /// # Errors
    /// The driver does not answer, or refuses.
    pub async fn of(driver_url: &str, debugger_address: &str) -> Result<Self, MechanismError> {
        let api = Api::at(driver_url).within(ANSWER_WITHIN);
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            // Who drives waits for what the page shows, not for its files.
            "pageLoadStrategy": "none",
            "goog:chromeOptions": { "debuggerAddress": debugger_address },
            "goog:loggingPrefs": { "performance": "ALL" },
        } } });
        let doing = "taking a browser over";
        let answer = api
            .ask(doing, Method::POST, "/session", Some(&wanted))
            .await?;
        let answer: Value = answer.accepted()?.read()?;
        let session = answer["value"]["sessionId"].as_str().ok_or_else(|| {
            MechanismError::failed(doing, "the driver did not say which session it is")
        })?;
        Ok(Self {
            session: session.to_owned(),
            api,
        })
    }

    /// Goes to an address; returns before the page is there.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn go_to(&self, url: &str) -> Result<(), MechanismError> {
        let body = json!({ "url": url });
        self.ask("opening a page", Method::POST, "/url", Some(body))
            .await
            .map(drop)
    }

    /// Loads the page again; returns before it is there.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn reload(&self) -> Result<(), MechanismError> {
        self.ask(
            "loading a page again",
            Method::POST,
            "/refresh",
            Some(json!({})),
        )
        .await
        .map(drop)
    }

    /// The first element that a CSS selector means, if there is one.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn find(&self, selector: &str) -> Result<Option<Element>, MechanismError> {
        let body = json!({ "using": "css selector", "value": selector });
        let doing = format!("looking for {selector}");
        let found = self
            .ask(&doing, Method::POST, "/elements", Some(body))
            .await?;
        Ok(found.get(0).and_then(element))
    }

    /// The element that has the focus.
    ///
    /// # Errors
    /// None has it.
    pub async fn focused(&self) -> Result<Element, MechanismError> {
        let doing = "looking for the focus";
        let found = self
            .ask(doing, Method::GET, "/element/active", None)
            .await?;
        element(&found).ok_or_else(|| MechanismError::failed(doing, "nothing has it"))
    }

    /// Clicks on an element, where a person would.
    ///
    /// # Errors
    /// It cannot be clicked.
    pub async fn click(&self, element: &Element) -> Result<(), MechanismError> {
        let path = format!("/element/{}/click", element.0);
        self.ask("clicking", Method::POST, &path, Some(json!({})))
            .await
            .map(drop)
    }

    /// Types into an element; keys without a sign of their own have the code points that WebDriver gives them.
    ///
    /// # Errors
    /// Nothing can be typed there.
    pub async fn type_into(&self, element: &Element, keys: &str) -> Result<(), MechanismError> {
        let path = format!("/element/{}/value", element.0);
        let body = json!({ "text": keys });
        self.ask("typing", Method::POST, &path, Some(body))
            .await
            .map(drop)
    }

    /// What a script in the page returns.
    ///
    /// # Errors
    /// It throws.
    pub async fn evaluate(&self, script: &str) -> Result<Value, MechanismError> {
        let body = json!({ "script": script, "args": [] });
        self.ask(
            "evaluating a script in a page",
            Method::POST,
            "/execute/sync",
            Some(body),
        )
        .await
    }

    /// A picture of what is shown, PNG.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn picture(&self) -> Result<Vec<u8>, MechanismError> {
        let doing = "taking a picture of a page";
        let picture = self.ask(doing, Method::GET, "/screenshot", None).await?;
        let decoded = STANDARD.decode(picture.as_str().unwrap_or_default());
        decoded.map_err(|error| MechanismError::failed(doing, error))
    }

    /// Events of the debugging protocol's `Network` domain since the last call, oldest first.
    ///
    /// # Errors
    /// The browser refuses.
    pub async fn network_events(&self) -> Result<Vec<Value>, MechanismError> {
        let doing = "reading what a browser has sent";
        let body = json!({ "type": "performance" });
        let entries = self.ask(doing, Method::POST, "/se/log", Some(body)).await?;
        let event = |entry: &Value| {
            let mut entry: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            Some(entry.get_mut("message")?.take())
        };
        let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(entries.iter().filter_map(event).collect())
    }

    /// Gives a command of the debugging protocol.
    ///
    /// # Errors
    /// The browser refuses it.
    pub async fn command(&self, command: &str, parameters: Value) -> Result<Value, MechanismError> {
        let body = json!({ "cmd": command, "params": parameters });
        self.ask(command, Method::POST, "/goog/cdp/execute", Some(body))
            .await
    }

    async fn ask(
        &self,
        doing: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, MechanismError> {
        let path = format!("/session/{}{path}", self.session);
        let answer = self.api.ask(doing, method, &path, body.as_ref()).await?;
        let mut answer: Value = answer.accepted()?.read()?;
        Ok(answer.get_mut("value").map(Value::take).unwrap_or_default())
    }
}

fn element(value: &Value) -> Option<Element> {
    value[ELEMENT].as_str().map(|id| Element(id.to_owned()))
}
