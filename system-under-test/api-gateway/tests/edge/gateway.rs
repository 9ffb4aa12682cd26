//! A gateway inside the test, and a customer's client for it.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use api_gateway::config::Config;
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, StatusCode};
use service_kit::service::Service;
use service_kit::testing;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A gateway in front of instances; stops when it is dropped.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    certificate: Vec<u8>,
    service: Service,
    _files: tempfile::TempDir,
}

impl Gateway {
    pub(crate) async fn start(instances: &[SocketAddr], more: &[(&str, &str)]) -> Self {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let files = tempfile::tempdir().expect("a folder");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let issued = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let path = |name: &str| files.path().join(name).to_string_lossy().into_owned();
        std::fs::write(path("cert.pem"), issued.cert.pem()).expect("written");
        std::fs::write(path("key.pem"), issued.signing_key.serialize_pem()).expect("written");
        let addresses: Vec<_> = instances.iter().map(SocketAddr::to_string).collect();
        let (addresses, certificate, key) =
            (addresses.join(","), path("cert.pem"), path("key.pem"));
        let mut values = vec![
            ("LISTEN_PUBLIC", "127.0.0.1:0"),
            ("CERTIFICATE_FILE", &certificate),
            ("PRIVATE_KEY_FILE", &key),
            ("ORDER_SERVICE_ADDRESSES", &addresses),
            ("INVENTORY_SERVICE_ADDRESSES", &addresses),
        ];
        values.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        values.extend(more);
        let public = OnceLock::new();
        let service = testing::start(
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
        let address = *public.get().expect("started");
        let certificate = issued.cert.der().to_vec();
        let trusted = Certificate::from_der(&certificate).expect("a certificate");
        let client = Client::builder()
            .tls_certs_only([trusted])
            .no_proxy()
            .build()
            .expect("a client");
        Self {
            address,
            client,
            certificate,
            service,
            _files: files,
        }
    }

    /// A request for a path.
    pub(crate) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("https://{}{path}", self.address))
    }

    pub(crate) fn post(&self) -> RequestBuilder {
        self.client
            .post(format!("https://{}/orders", self.address))
            .body("{}")
    }

    pub(crate) fn post_with_key(&self, key: impl ToString) -> RequestBuilder {
        self.post().header("Idempotency-Key", key.to_string())
    }

    /// A connection on which bytes can be sent that no proper client sends.
    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(self.certificate.clone().into())
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
