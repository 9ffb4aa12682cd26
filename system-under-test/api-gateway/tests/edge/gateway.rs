//! A gateway inside the test, and a customer's client for it.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use api_gateway::config::Config;
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, StatusCode};
use service_kit::service::Service;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::issuer::{AUDIENCE, ISSUER, Issuer};

/// A certificate for this machine, and its key.
pub(crate) struct Files {
    folder: tempfile::TempDir,
    certificate: Vec<u8>,
}

impl Files {
    pub(crate) fn new() -> Self {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let issued = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let write = |name, text| std::fs::write(folder.path().join(name), text).expect("written");
        write("cert.pem", issued.cert.pem());
        write("key.pem", issued.signing_key.serialize_pem());
        Self {
            folder,
            certificate: issued.cert.der().to_vec(),
        }
    }

    /// A new certificate and key, not yet in the files.
    pub(crate) fn renewed() -> (Certificate, String, String) {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let issued = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let trusted = Certificate::from_der(issued.cert.der()).expect("a certificate");
        (
            trusted,
            issued.cert.pem(),
            issued.signing_key.serialize_pem(),
        )
    }

    /// Replaces a file as a whole.
    pub(crate) fn replace(&self, name: &str, text: &str) {
        let fresh = self.folder.path().join("fresh");
        std::fs::write(&fresh, text).expect("written");
        std::fs::rename(fresh, self.path(name)).expect("replaced");
    }

    pub(crate) fn path(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_string_lossy().into_owned()
    }
}

/// A gateway in front of instances; stops when it is dropped.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    pub(crate) service: Service,
    pub(crate) issuer: Issuer,
    pub(crate) files: Files,
}

impl Gateway {
    /// A gateway whose tokens come from a well issuer; ready, but that instances which do not answer cannot say which
    /// paths they know.
    pub(crate) async fn start(instances: &[SocketAddr], more: &[(&str, &str)]) -> Self {
        let files = Files::new();
        let issuer = Issuer::start(&files).await;
        let gateway = Self::start_with(files, issuer, instances, more).await;
        service_testing::eventually("the gateway is ready", async || {
            let reasons = gateway.service.health.readiness().await.reasons;
            reasons.iter().all(|reason| reason.starts_with("routes: "))
        })
        .await;
        gateway
    }

    /// A gateway that may not be ready yet.
    pub(crate) async fn start_with(
        files: Files,
        issuer: Issuer,
        instances: &[SocketAddr],
        more: &[(&str, &str)],
    ) -> Self {
        let addresses: Vec<_> = instances.iter().map(SocketAddr::to_string).collect();
        let (addresses, certificate, key) = (
            addresses.join(","),
            files.path("cert.pem"),
            files.path("key.pem"),
        );
        let identity = format!("https://{}", issuer.address);
        let mut values = vec![
            ("LISTEN_PUBLIC", "127.0.0.1:0"),
            ("CERTIFICATE_FILE", &certificate),
            ("PRIVATE_KEY_FILE", &key),
            ("ORDER_SERVICE_ADDRESSES", &addresses),
            ("INVENTORY_SERVICE_ADDRESSES", &addresses),
            ("IDENTITY_PROVIDER_URL", &identity),
            ("CA_FILE", &certificate),
            ("TOKEN_ISSUER", ISSUER),
            ("TOKEN_AUDIENCE", AUDIENCE),
            ("KEYS_PAUSE_MS", "50"),
        ];
        values.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        values.extend(more);
        let public = OnceLock::new();
        let service = service_testing::start(
            "api-gateway",
            &values,
            Config::read,
            async |config, service| {
                let address = api_gateway::serve(config, &service).await?;
                public
                    .set(address)
                    .map_err(|_| anyhow::anyhow!("started twice"))
            },
        );
        let service = service.await;
        let trusted = Certificate::from_der(&files.certificate).expect("a certificate");
        let client = Client::builder()
            .tls_certs_only([trusted])
            .no_proxy()
            .build()
            .expect("a client");
        Self {
            address: *public.get().expect("started"),
            client,
            service,
            issuer,
            files,
        }
    }

    /// A request for a path.
    pub(crate) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("https://{}{path}", self.address))
    }

    /// An order of a customer with a good token.
    pub(crate) fn post_as(&self, customer: &str) -> RequestBuilder {
        self.post_with_token(&self.issuer.token(customer))
    }

    pub(crate) fn post_with_token(&self, token: &str) -> RequestBuilder {
        self.ask(Method::POST, "/orders")
            .bearer_auth(token)
            .body("{}")
    }

    /// An order of the usual customer.
    pub(crate) fn post(&self) -> RequestBuilder {
        self.post_as("c-1")
    }

    pub(crate) fn post_with_key(&self, key: impl ToString) -> RequestBuilder {
        self.post().header("Idempotency-Key", key.to_string())
    }

    /// A connection on which bytes can be sent that no proper client sends.
    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(self.files.certificate.clone().into())
            .expect("a certificate");
        let config = rustls::ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "localhost".try_into().expect("a name");
        let tcp = TcpStream::connect(self.address).await.expect("connected");
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .expect("a handshake")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.service.shutdown.begin();
    }
}

pub(crate) async fn status(request: RequestBuilder) -> StatusCode {
    request.send().await.expect("an answer").status()
}

pub(crate) async fn code(response: Response) -> String {
    let body: serde_json::Value = response.json().await.expect("JSON");
    body["error"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// An address at which nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}
