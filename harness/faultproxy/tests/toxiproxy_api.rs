//! The HTTP API answers as Toxiproxy 2.12 does: paths, status codes, JSON; and what it is told really happens.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use faultproxy::{ApiServer, FaultProxy, Limits, ProxyConfig, Registry};
use reqwest::Method;
use serde_json::{Value, json};
use support::{LIMIT, Server, echoed, rest};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

struct Api {
    server: ApiServer,
    url: String,
    client: reqwest::Client,
}

impl Api {
    async fn start() -> Self {
        Self::of(Arc::new(Registry::new(1, Limits::default()))).await
    }

    async fn of(registry: Arc<Registry>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = ApiServer::start(registry, anywhere).await.expect("a port");
        let url = server.url();
        let client = reqwest::Client::builder()
            .tls_certs_only([])
            .no_proxy()
            .timeout(LIMIT)
            .build()
            .expect("a client");
        Self {
            server,
            url,
            client,
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> (u16, Value) {
        let request = self
            .client
            .request(method, format!("{}{path}", self.url))
            .body(body);
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.expect("a body");
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, "").await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(Method::POST, path, body.to_string()).await
    }

    async fn delete(&self, path: &str) -> (u16, Value) {
        self.call(Method::DELETE, path, "").await
    }

    async fn proxy(&self, name: &str, server: &Server) -> Value {
        let wanted = json!({ "name": name, "listen": "127.0.0.1:0", "upstream": server.address.to_string() });
        let (status, proxy) = self.post("/proxies", wanted).await;
        assert_eq!(status, 201, "{proxy}");
        proxy
    }
}

async fn connect(proxy: &Value) -> std::io::Result<TcpStream> {
    TcpStream::connect(proxy["listen"].as_str().expect("an address")).await
}

#[tokio::test]
async fn proxies_are_created_shown_changed_and_deleted() {
    let (api, server) = (Api::start().await, Server::echo().await);
    assert_eq!(api.get("/proxies").await, (200, json!({})));
    let proxy = api.proxy("one", &server).await;
    assert_eq!(
        proxy,
        json!({
            "name": "one", "listen": proxy["listen"], "upstream": server.address.to_string(),
            "enabled": true, "toxics": [],
        })
    );
    assert_eq!(api.get("/proxies/one").await, (200, proxy.clone()));
    assert_eq!(api.get("/proxies").await, (200, json!({ "one": proxy })));
    echoed(&mut connect(&proxy).await.expect("it listens"), "hello").await;

    let (status, disabled) = api.post("/proxies/one", json!({ "enabled": false })).await;
    assert_eq!(
        (status, &disabled["enabled"], &disabled["listen"]),
        (200, &json!(false), &proxy["listen"])
    );
    assert!(connect(&proxy).await.is_err());
    let (status, _) = api
        .call(
            Method::PATCH,
            "/proxies/one",
            json!({ "enabled": true }).to_string(),
        )
        .await;
    assert_eq!(status, 200);
    echoed(
        &mut connect(&proxy).await.expect("it listens again"),
        "hello",
    )
    .await;

    let other = Server::answering().await;
    let change = json!({ "upstream": other.address.to_string() });
    let (status, moved) = api.post("/proxies/one", change).await;
    assert_eq!(
        (status, moved["upstream"].as_str()),
        (200, Some(other.address.to_string().as_str()))
    );
    let mut socket = connect(&moved).await.expect("it listens");
    socket.write_all(b"hello").await.expect("sent");
    socket.shutdown().await.expect("half closed");
    assert_eq!(rest(&mut socket).await.0, b"answer to hello");

    assert_eq!(api.delete("/proxies/one").await, (204, Value::Null));
    assert!(connect(&proxy).await.is_err());
    assert_eq!(api.get("/proxies").await, (200, json!({})));
}

#[tokio::test]
async fn refusals_have_toxiproxys_codes_and_words() {
    let (api, server) = (Api::start().await, Server::echo().await);
    api.proxy("one", &server).await;
    let refusal = |status: u16, error: &str| (status, json!({ "error": error, "status": status }));
    let upstream = server.address.to_string();

    let twice = json!({ "name": "one", "listen": "", "upstream": upstream });
    assert_eq!(
        api.post("/proxies", twice).await,
        refusal(409, "proxy already exists")
    );
    assert_eq!(
        api.post("/proxies", json!({})).await,
        refusal(400, "missing required field: name")
    );
    let nameless = json!({ "name": "two" });
    assert_eq!(
        api.post("/proxies", nameless).await,
        refusal(400, "missing required field: upstream")
    );
    let (status, body) = api.call(Method::POST, "/proxies", "no json").await;
    assert_eq!(status, 400);
    assert!(
        body["error"]
            .as_str()
            .is_some_and(|error| error.starts_with("bad request body: ")),
        "{body}"
    );
    let taken =
        json!({ "name": "two", "listen": server.address.to_string(), "upstream": upstream });
    assert_eq!(api.post("/proxies", taken).await.0, 500);

    let not_found = refusal(404, "proxy not found");
    assert_eq!(api.get("/proxies/none").await, not_found);
    assert_eq!(api.post("/proxies/none", json!({})).await, not_found);
    assert_eq!(api.delete("/proxies/none").await, not_found);
    assert_eq!(api.get("/proxies/none/toxics").await, not_found);
    assert_eq!(
        api.post("/proxies/none/toxics", json!({ "type": "latency" }))
            .await,
        not_found
    );

    let toxics = "/proxies/one/toxics";
    assert_eq!(
        api.post(toxics, json!({ "type": "lightning" })).await,
        refusal(400, "invalid toxic type")
    );
    let sideways = json!({ "type": "latency", "stream": "sideways" });
    let invalid_stream = refusal(
        400,
        "stream was invalid, can be either upstream or downstream",
    );
    assert_eq!(api.post(toxics, sideways).await, invalid_stream);
    let text = json!({ "type": "latency", "attributes": { "latency": "long" } });
    let (status, body) = api.post(toxics, text).await;
    assert_eq!(status, 400);
    assert!(
        body["error"]
            .as_str()
            .is_some_and(|error| error.starts_with("bad request body: ")),
        "{body}"
    );
    assert_eq!(api.post(toxics, json!({ "type": "latency" })).await.0, 200);
    assert_eq!(
        api.post(toxics, json!({ "type": "latency" })).await,
        refusal(409, "toxic already exists")
    );
    let not_found = refusal(404, "toxic not found");
    assert_eq!(api.get("/proxies/one/toxics/none").await, not_found);
    assert_eq!(
        api.post("/proxies/one/toxics/none", json!({})).await,
        not_found
    );
    assert_eq!(api.delete("/proxies/one/toxics/none").await, not_found);
    assert_eq!(api.get("/nothing").await.0, 404);
    assert_eq!(api.call(Method::PUT, "/proxies", "").await.0, 405);
}

#[tokio::test]
async fn toxics_are_created_shown_changed_deleted_and_act() {
    let (api, server) = (Api::start().await, Server::echo().await);
    let proxy = api.proxy("one", &server).await;
    let toxics = "/proxies/one/toxics";
    assert_eq!(api.get(toxics).await, (200, json!([])));
    let wanted = json!({ "type": "latency", "attributes": { "latency": 300 } });
    let shown = json!({
        "attributes": { "latency": 300, "jitter": 0 }, "name": "latency_downstream", "type": "latency",
        "stream": "downstream", "toxicity": 1.0,
    });
    assert_eq!(api.post(toxics, wanted).await, (200, shown.clone()));
    assert_eq!(api.get(toxics).await, (200, json!([shown])));
    assert_eq!(api.get("/proxies/one").await.1["toxics"], json!([shown]));
    assert_eq!(
        api.get("/proxies/one/toxics/latency_downstream").await,
        (200, shown.clone())
    );
    let mut socket = connect(&proxy).await.expect("it listens");
    assert!(echoed(&mut socket, "late").await.1.as_millis() >= 300);

    let change = json!({ "attributes": { "jitter": 5, "latency": 0 }, "toxicity": 0.5 });
    let (status, changed) = api
        .post("/proxies/one/toxics/latency_downstream", change)
        .await;
    assert_eq!((status, &changed["toxicity"]), (200, &json!(0.5)));
    assert_eq!(changed["attributes"], json!({ "latency": 0, "jitter": 5 }));
    let (_, counters) = api.get("/firedrill/proxies/one/counters").await;
    assert!(
        counters["toxics"]["latency_downstream"]["delayed"].as_u64() >= Some(1),
        "{counters}"
    );
    assert_eq!(
        api.get("/firedrill/counters").await.1["one"]["accepted"],
        json!(1)
    );
    assert_eq!(
        api.delete("/proxies/one/toxics/latency_downstream").await,
        (204, Value::Null)
    );

    let all = [
        ("timeout", json!({ "timeout": 1000 })),
        ("reset_peer", json!({ "timeout": 20 })),
        ("limit_data", json!({ "bytes": 7 })),
    ];
    for (kind, attributes) in all {
        let wanted = json!({ "name": kind, "type": kind, "stream": "upstream", "toxicity": 0.25, "attributes": attributes });
        assert_eq!(api.post(toxics, wanted.clone()).await, (200, wanted));
    }
    let lose = json!({ "type": "lose_answer", "attributes": { "protocol": "tls", "times": 3 } });
    let (status, lose) = api.post(toxics, lose).await;
    assert_eq!((status, &lose["attributes"]["times"]), (200, &json!(3)));
    assert_eq!(api.get(toxics).await.1.as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn reset_enables_everything_and_takes_all_toxics_away() {
    let (api, server) = (Api::start().await, Server::echo().await);
    let proxy = api.proxy("one", &server).await;
    api.post("/proxies/one/toxics", json!({ "type": "timeout" }))
        .await;
    api.post("/proxies/one", json!({ "enabled": false })).await;
    assert_eq!(
        api.call(Method::POST, "/reset", "").await,
        (204, Value::Null)
    );
    assert_eq!(api.get("/proxies/one").await, (200, proxy.clone()));
    echoed(&mut connect(&proxy).await.expect("it listens"), "hello").await;
}

#[tokio::test]
async fn populate_starts_replaces_and_keeps() {
    let (api, server) = (Api::start().await, Server::echo().await);
    let old = api.proxy("one", &server).await;
    let mut open = connect(&old).await.expect("it listens");
    echoed(&mut open, "before").await;
    let upstream = server.address.to_string();
    let wanted = json!([
        { "name": "one", "listen": old["listen"], "upstream": upstream },
        { "name": "two", "listen": "127.0.0.1:0", "upstream": upstream, "enabled": false },
    ]);
    let (status, body) = api.post("/populate", wanted).await;
    assert_eq!(
        (status, body["proxies"].as_array().map(Vec::len)),
        (201, Some(2))
    );
    assert_eq!(body["proxies"][1]["enabled"], json!(false));
    echoed(&mut open, "what is as wanted is left alone").await;

    let missing = json!([{ "name": "three", "upstream": upstream }, { "name": "four" }]);
    let refusal = json!({ "error": "missing required field: upstream at proxy 2", "status": 400, "proxies": null });
    assert_eq!(api.post("/populate", missing).await, (400, refusal));
    assert_eq!(
        api.get("/proxies/three").await.0,
        404,
        "nothing is changed by a request with a mistake"
    );
}

#[tokio::test]
async fn it_tells_its_version_and_does_not_talk_to_browsers() {
    let api = Api::start().await;
    let (status, version) = api.get("/version").await;
    assert_eq!((status, &version["version"]), (200, &json!("2.12.0")));
    let request = api
        .client
        .get(format!("{}/version", api.url))
        .header("user-agent", "Mozilla/5.0");
    assert_eq!(
        request.send().await.expect("an answer").status().as_u16(),
        403
    );
}

#[tokio::test]
async fn kafka_rules_are_for_kafka_proxies() {
    let (api, server) = (Api::start().await, Server::echo().await);
    api.proxy("plain", &server).await;
    let rule = json!({ "name": "acks", "api": "Produce", "times": 2, "action": { "type": "lose_answer" } });
    assert_eq!(
        api.post("/firedrill/proxies/plain/kafka-rules", rule.clone())
            .await
            .0,
        400
    );
    let wanted = json!({ "name": "kafka", "upstream": server.address.to_string(), "kafka": { "advertise": "host:1" } });
    let (status, proxy) = api.post("/proxies", wanted).await;
    assert_eq!(
        (status, &proxy["kafka"]["advertise"]),
        (201, &json!("host:1"))
    );
    let rules = "/firedrill/proxies/kafka/kafka-rules";
    assert_eq!(api.post(rules, rule.clone()).await.0, 201);
    assert_eq!(api.post(rules, rule).await.0, 409);
    let (status, shown) = api.get(rules).await;
    assert_eq!((status, &shown[0]["times"]), (200, &json!(2)));
    for wrong in [
        json!({ "name": "x", "api": "Prodcue", "action": { "type": "lose_answer" } }),
        json!({ "name": "x", "api": "Heartbeat", "topic": "t", "action": { "type": "lose_answer" } }),
        json!({ "name": "x", "api": "ListGroups", "action": { "type": "error", "code": 1 } }),
        json!({ "name": "x", "api": "Produce", "action": { "type": "lose" } }),
        json!({ "name": "x", "api": "Produce", "share": 2, "action": { "type": "lose_answer" } }),
    ] {
        assert_eq!(api.post(rules, wrong.clone()).await.0, 400, "{wrong}");
    }
    assert_eq!(api.delete(&format!("{rules}/acks")).await.0, 204);
    assert_eq!(api.delete(&format!("{rules}/acks")).await.0, 404);
    let (_, counters) = api.get("/firedrill/proxies/kafka/counters").await;
    assert_eq!(counters["kafka"]["rules"]["acks"]["acted"], json!(0));
}

#[tokio::test]
async fn proxies_started_without_the_api_are_driven_through_it_whatever_their_name() {
    let server = Server::answering().await;
    let name = "order-service-1->postgres";
    let proxy = FaultProxy::start(ProxyConfig::new(name, server.address.to_string()))
        .await
        .expect("a port");
    let registry = Arc::new(Registry::new(1, Limits::default()));
    registry
        .insert(Arc::clone(&proxy))
        .await
        .expect("a new name");
    assert!(registry.insert(Arc::clone(&proxy)).await.is_err());
    let api = Api::of(registry).await;
    let path = "/proxies/order-service-1-%3Epostgres";
    let lose = json!({ "type": "lose_answer", "attributes": { "times": 1 } });
    assert_eq!(api.post(&format!("{path}/toxics"), lose).await.0, 200);
    let mut socket = support::connect(&proxy).await;
    socket.write_all(b"request").await.expect("sent");
    assert_eq!(rest(&mut socket).await.0, b"");
    let (status, counters) = api.get(&format!("/firedrill{path}/counters")).await;
    assert_eq!(
        (
            status,
            &counters["toxics"]["lose_answer_downstream"]["answers_lost"]
        ),
        (200, &json!(1))
    );
    let address = api.server.address();
    api.server.shutdown().await;
    assert!(TcpStream::connect(address).await.is_err());
    let mut socket = support::connect(&proxy).await;
    socket.write_all(b"again").await.expect("sent");
    socket.shutdown().await.expect("half closed");
    assert_eq!(rest(&mut socket).await.0, b"answer to again");
}
