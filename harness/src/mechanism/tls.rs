//! What a server shows of itself in a TLS handshake.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::Instant};
use tokio_rustls::TlsConnector;

use super::MechanismError;

/// A handshake is finished within this time or has failed.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(2);
/// How often a server is looked at while somebody waits for it to show something else.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The certificate that a server shows now, DER, whoever might believe it. Nothing is asked; the handshake is finished, so
/// that the server has proved to hold the key.
///
/// # Errors
/// The server does not answer, or speaks no TLS.
pub async fn shown_certificate(server: SocketAddr) -> Result<Vec<u8>, MechanismError> {
    let unreachable = |reason: String| MechanismError::Unreachable {
        doing: "looking at the certificate that is shown".to_owned(),
        place: server.to_string(),
        reason,
    };
    let connector = TlsConnector::from(Arc::new(onlooker()?));
    let looking = async {
        let stream = TcpStream::connect(server).await?;
        let name = ServerName::IpAddress(server.ip().into());
        let mut stream = connector.connect(name, stream).await?;
        let shown = stream.get_ref().1.peer_certificates();
        let shown = shown.and_then(|chain| Some(chain.first()?.to_vec()));
        // It has been seen; a farewell that does not arrive changes nothing.
        let _ = stream.shutdown().await;
        Ok::<_, std::io::Error>(shown)
    };
    match tokio::time::timeout(HANDSHAKE_WITHIN, looking).await {
        Ok(Ok(Some(certificate))) => Ok(certificate),
        Ok(Ok(None)) => Err(unreachable("it shows no certificate".to_owned())),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable(format!(
            "no handshake within {} s",
            HANDSHAKE_WITHIN.as_secs()
        ))),
    }
}

/// Waits until a server shows this certificate (DER), and no other.
///
/// # Errors
/// It still shows another one when the time is up, or does not answer then.
pub async fn wait_until_shown(
    server: SocketAddr,
    certificate: &[u8],
    within: Duration,
) -> Result<(), MechanismError> {
    let deadline = Instant::now() + within;
    loop {
        let shown = shown_certificate(server).await;
        if shown.as_ref().is_ok_and(|shown| shown == certificate) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let other = MechanismError::NotInForce {
                doing: format!(
                    "waiting {} s until another certificate is shown",
                    within.as_secs_f64()
                ),
                place: server.to_string(),
                found: "still another one (does it read its certificate again while it runs?)"
                    .to_owned(),
            };
            return Err(shown.err().unwrap_or(other));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A client that looks and believes nothing.
fn onlooker() -> Result<ClientConfig, MechanismError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| MechanismError::failed("making a TLS client", error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous(provider)))
        .with_no_client_auth();
    // A session that is resumed shows no certificate.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Accepts whoever holds the key of the certificate that is shown, whatever it says.
#[derive(Debug)]
pub(crate) struct Credulous(pub(crate) Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
