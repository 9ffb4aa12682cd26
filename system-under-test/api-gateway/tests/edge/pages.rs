//! Which web pages may call the gateway, as a browser finds out.

use reqwest::{Method, RequestBuilder, Response, StatusCode};

use crate::gateway::{Gateway, code};
use crate::instance::{Instance, Mood};

const SHOP: &str = "https://shop.example";
const THIEF: &str = "https://thief.example";
const LISTED: (&str, &str) = (
    "ALLOWED_ORIGINS",
    "https://shop.example,https://127.0.0.1:8443",
);

fn preflight(gateway: &Gateway, origin: &str) -> RequestBuilder {
    gateway
        .ask(Method::OPTIONS, "/orders")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "content-type,idempotency-key,authorization",
        )
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.expect("an answer")
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().expect("text"))
}

#[tokio::test]
async fn the_shops_page_is_told_what_it_may_do_and_may_read_the_answer() {
    let instance = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[instance.address], &[LISTED]).await;
    let told = send(preflight(&gateway, SHOP)).await;
    assert_eq!(told.status(), StatusCode::NO_CONTENT);
    assert_eq!(header(&told, "access-control-allow-origin"), SHOP);
    assert_eq!(header(&told, "access-control-allow-credentials"), "");
    assert_eq!(header(&told, "vary"), "origin");
    assert!(header(&told, "access-control-allow-methods").contains("POST"));
    for name in ["content-type", "idempotency-key", "authorization"] {
        let allowed = header(&told, "access-control-allow-headers");
        assert!(allowed.split(", ").any(|one| one == name), "{name}");
    }
    assert!(instance.seen().is_empty(), "a preflight is not passed on");
    let placed = send(gateway.post().header("origin", SHOP)).await;
    assert_eq!(placed.status(), StatusCode::CREATED);
    assert_eq!(header(&placed, "access-control-allow-origin"), SHOP);
    assert!(header(&placed, "access-control-expose-headers").contains("retry-after"));
}

#[tokio::test]
async fn a_refusal_can_be_read_by_the_page_too() {
    let instance = Instance::start(Mood::Well).await;
    let settings = [LISTED, ("CLIENT_RATE_PER_S", "1"), ("CLIENT_BURST", "1")];
    let gateway = Gateway::start(&[instance.address], &settings).await;
    send(gateway.post().header("origin", SHOP)).await;
    let refused = send(gateway.post().header("origin", SHOP)).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&refused, "access-control-allow-origin"), SHOP);
}

#[tokio::test]
async fn another_page_is_refused_before_anything_is_done_for_it() {
    let instance = Instance::start(Mood::Well).await;
    let gateway = Gateway::start(&[instance.address], &[LISTED]).await;
    for origin in [THIEF, "null", "https://shop.example.thief.example"] {
        let told = send(preflight(&gateway, origin)).await;
        assert_eq!(told.status(), StatusCode::FORBIDDEN, "{origin}");
        assert_eq!(header(&told, "access-control-allow-origin"), "");
        // A form needs no preflight.
        let form = send(gateway.post().header("origin", origin)).await;
        assert_eq!(form.status(), StatusCode::FORBIDDEN, "{origin}");
        assert_eq!(code(form).await, "origin_not_allowed");
    }
    assert!(instance.seen().is_empty());
    let program = send(gateway.post()).await;
    assert_eq!(
        program.status(),
        StatusCode::CREATED,
        "a program has no origin"
    );
    assert_eq!(header(&program, "access-control-allow-origin"), "");
}

#[tokio::test]
async fn without_the_list_every_page_may_do_everything() {
    let instance = Instance::start(Mood::Well).await;
    let settings = [LISTED, ("DEFENCES_OFF", "gateway.cors-allowlist")];
    let gateway = Gateway::start(&[instance.address], &settings).await;
    let told = send(preflight(&gateway, THIEF)).await;
    assert_eq!(told.status(), StatusCode::NO_CONTENT);
    assert_eq!(header(&told, "access-control-allow-origin"), THIEF);
    assert_eq!(header(&told, "access-control-allow-credentials"), "true");
    let form = send(gateway.post().header("origin", THIEF)).await;
    assert_eq!(form.status(), StatusCode::CREATED);
    assert_eq!(instance.seen().len(), 1);
}
