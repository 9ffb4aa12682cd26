//! Faults of the identity provider, witnessed by whoever checks its tokens.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use external_world::identity_provider::{Config, start};
use firedrill::{
    fault::{Witness, inject},
    testbed::{
        Pipeline,
        local::ports::{Port, Ports},
    },
};
use serde_json::json;
use service_kit::{
    service::Service,
    token::{KeySet, Unverified},
};
use service_testing::TestDatabase;

use super::{fault, kind, pipeline::SmallPipeline};

/// An identity provider, and a customer of it.
struct Stage {
    pipeline: Arc<dyn Pipeline>,
    customer: reqwest::Client,
    public: SocketAddr,
    provider: Service,
    _ports: [Port; 2],
    _database: TestDatabase,
}

impl Stage {
    async fn set() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let file = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path.to_str().expect("text").to_owned()
        };
        let certificate_file = file("certificate.pem", certificate.cert.pem());
        let key_file = file("key.pem", certificate.signing_key.serialize_pem());
        let database = service_testing::database(&[]).await;
        let ports = [(); 2].map(|()| Ports::new().reserve().expect("a free port"));
        let (control, public) = (ports[0].address(), ports[1].address());
        let provider = service_testing::start(
            "identity-provider",
            &[
                ("LISTEN_HTTP", &control.to_string()),
                ("LISTEN_PUBLIC", &public.to_string()),
                ("CERTIFICATE_FILE", &certificate_file),
                ("PRIVATE_KEY_FILE", &key_file),
                ("DATABASE_URL", &database.url),
                ("TOKEN_ISSUER", "https://identity.example"),
                ("TOKEN_AUDIENCE", "https://api.example"),
                ("PASSWORD_HASH_ROUNDS", "10"),
            ],
            Config::read,
            start,
        )
        .await;
        let authority = reqwest::Certificate::from_pem(certificate.cert.pem().as_bytes());
        let customer = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority.expect("a certificate")])
            .timeout(Duration::from_secs(5))
            .build()
            .expect("a client");
        let pipeline = SmallPipeline::default()
            .with_address("identity-provider-1", control)
            .share();
        Self {
            pipeline,
            customer,
            public,
            provider,
            _ports: ports,
            _database: database,
        }
    }

    /// Name of the key under which a customer gets a token now.
    async fn signing(&self, customer: &str) -> String {
        let body = json!({ "customer_id": customer, "password": "secret" });
        let url = format!("https://{}/token", self.public);
        let answer = self.customer.post(url).json(&body).send().await;
        let answer: serde_json::Value = answer.expect("sent").json().await.expect("JSON");
        let token = answer["access_token"].as_str().expect("a token");
        let unverified = Unverified::read(token).expect("a token");
        unverified.kid().expect("a key").to_owned()
    }

    /// Names of the keys whose tokens are good.
    async fn published(&self) -> Vec<String> {
        let url = format!("https://{}/.well-known/jwks.json", self.public);
        let answer = self.customer.get(url).send().await.expect("sent");
        let set: KeySet = answer.json().await.expect("a key set");
        set.keys.into_iter().map(|key| key.kid).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.provider.shutdown.begin();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_signs_every_new_token_and_old_ones_stay_good_as_long_as_they_were_promised()
{
    let stage = Stage::set().await;
    let old = stage.signing("c-1").await;
    let rotated =
        kind("kind = \"signing_key_rotated\"\ncomponent = \"identity-provider\"\nkeep_old_s = 60");
    let mut injection = inject(&fault(rotated), &stage.pipeline, 1)
        .await
        .expect("rotated");
    let felt = injection.felt().await.expect("felt");
    assert_eq!(felt.witness, Witness::TokensUnderNewKey);
    assert_eq!(felt.count, 0, "nobody has got a token since");
    let new = stage.signing("c-1").await;
    assert_ne!(new, old);
    assert_eq!(stage.published().await, [old.as_str(), new.as_str()]);
    assert_eq!(injection.felt().await.expect("felt").count, 1);
    injection.heal().await.expect("healed");
    assert_eq!(stage.signing("c-2").await, new, "nothing is taken back");
    let replaced =
        kind("kind = \"signing_key_rotated\"\ncomponent = \"identity-provider\"\nkeep_old_s = 0");
    let mut injection = inject(&fault(replaced), &stage.pipeline, 1)
        .await
        .expect("rotated");
    let newest = stage.signing("c-1").await;
    assert_eq!(stage.published().await, [old, newest]);
    injection.heal().await.expect("healed");
}
