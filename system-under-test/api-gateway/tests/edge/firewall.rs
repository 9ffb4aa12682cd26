//! What looks like an attack reaches no service, and whoever is refused for nothing can say so.

use reqwest::{Method, Response, StatusCode};

use crate::gateway::{Gateway, status};
use crate::instance::{Instance, Mood};

const ATTACK: &str = r#"{"note":"x' UNION SELECT password FROM customers"}"#;

/// Code and message of a refusal.
async fn refusal(response: Response) -> (String, String) {
    let body: serde_json::Value = response.json().await.expect("JSON");
    let word = |name: &str| body["error"][name].as_str().unwrap_or_default().to_owned();
    (word("code"), word("message"))
}

fn counted(gateway: &Gateway, rule: &str) -> bool {
    let text = gateway.service.metrics.text().expect("text");
    text.contains(&format!("waf_refusals_total{{rule=\"{rule}\"}} 1"))
}

#[tokio::test]
async fn attacks_are_refused_with_a_reference_of_their_own_and_counted() {
    let instance = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[instance.address], &[]).await;
    let large = "x".repeat(8_500);
    let attacks = [
        ("sql-injection", gateway.post().body(ATTACK)),
        (
            "path-traversal",
            gateway.ask(Method::GET, "/products?file=%2e%2e%2f%2e%2e%2fetc/passwd"),
        ),
        (
            "large-headers",
            gateway.ask(Method::GET, "/stock").header("x-large", large),
        ),
    ];
    let mut references = Vec::new();
    for (rule, attack) in attacks {
        let response = attack.send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{rule}");
        let (code, message) = refusal(response).await;
        assert_eq!(code, "waf_blocked");
        assert!(!message.contains(rule), "attackers learn no rules");
        let reference = message.rsplit(' ').next().unwrap_or_default().to_owned();
        assert!(uuid::Uuid::parse_str(&reference).is_ok(), "{message}");
        references.push(reference);
        assert!(counted(&gateway, rule), "{rule}");
    }
    references.dedup();
    assert_eq!(references.len(), 3);
    assert!(instance.seen().is_empty());
    assert_eq!(status(gateway.post()).await, StatusCode::CREATED);
}

#[tokio::test]
async fn a_word_that_the_operator_forbids_hits_whoever_uses_it() {
    let instance = Instance::start(Mood::Well).await;
    let settings = [("WAF_FORBIDDEN_WORDS", "Please, hidden")];
    let gateway = Gateway::start(&[instance.address], &settings).await;
    let polite = gateway.post().body(r#"{"note":"please ring"}"#);
    assert_eq!(status(polite).await, StatusCode::FORBIDDEN);
    assert!(counted(&gateway, "forbidden-word"));
    assert!(instance.seen().is_empty());
    let curt = gateway.post().body(r#"{"note":"ring"}"#);
    assert_eq!(status(curt).await, StatusCode::CREATED);
}

#[tokio::test]
async fn without_the_firewall_attacks_reach_the_services() {
    let instance = Instance::start(Mood::Well).await;
    let settings = [("DEFENCES_OFF", "gateway.waf")];
    let gateway = Gateway::start(&[instance.address], &settings).await;
    let attack = gateway.post().body(ATTACK);
    assert_eq!(status(attack).await, StatusCode::CREATED);
    assert_eq!(instance.seen()[0].body, ATTACK.as_bytes());
}
