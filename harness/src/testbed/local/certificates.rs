//! The testbed's own certificate authority and a server certificate for every component.
//!
//! Made once per run, since all drills of a run may trust the same authority; the keys never leave the run's folder.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use crate::testbed::TestbedError;

/// Long enough for a night of exploring, short enough that a leaked key is worth nothing.
const VALID_FOR: Duration = Duration::days(7);
/// Tolerates a clock that was set back.
const VALID_SINCE: Duration = Duration::days(1);

/// The authority and the files that components are told about.
#[derive(Debug)]
pub struct Certificates {
    authority_pem: String,
    authority_file: PathBuf,
    servers: BTreeMap<String, ServerCertificate>,
}

/// Where a component's own certificate lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCertificate {
    /// PEM file with its certificate.
    pub certificate_file: PathBuf,
    /// PEM file with its private key, readable by this user only.
    pub private_key_file: PathBuf,
}

impl Certificates {
    /// Makes an authority and a certificate for each component, valid for the component's name, `localhost` and
    /// 127.0.0.1, and writes them into `folder`.
    ///
    /// # Errors
    /// A key cannot be made or a file not be written.
    pub fn make<'a>(
        folder: &Path,
        components: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, TestbedError> {
        let failed = |reason: String| TestbedError::Failed {
            doing: format!("making certificates in {}", folder.display()),
            reason,
        };
        let authority = make_authority().map_err(|error| failed(error.to_string()))?;
        let authority_file = folder.join("ca.pem");
        write_private(&authority_file, &authority.pem())
            .map_err(|error| failed(error.to_string()))?;
        let mut servers = BTreeMap::new();
        for component in components {
            let (certificate, key) =
                make_server(component, &authority).map_err(|error| failed(error.to_string()))?;
            let files = ServerCertificate {
                certificate_file: folder.join(format!("{component}.pem")),
                private_key_file: folder.join(format!("{component}.key")),
            };
            write_private(&files.certificate_file, &certificate)
                .and_then(|()| write_private(&files.private_key_file, &key))
                .map_err(|error| failed(error.to_string()))?;
            servers.insert(component.to_owned(), files);
        }
        Ok(Self {
            authority_pem: authority.pem(),
            authority_file,
            servers,
        })
    }

    /// The authority's certificate, PEM.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// File with the authority's certificate, PEM.
    #[must_use]
    pub fn authority_file(&self) -> &Path {
        &self.authority_file
    }

    /// A component's files.
    #[must_use]
    pub fn server(&self, component: &str) -> Option<&ServerCertificate> {
        self.servers.get(component)
    }
}

fn make_authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = dated_params("firedrill testbed authority", Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn make_server(
    component: &str,
    authority: &CertifiedIssuer<'static, KeyPair>,
) -> Result<(String, String), rcgen::Error> {
    let names = vec![
        component.to_owned(),
        "localhost".to_owned(),
        format!("{component}.firedrill.test"),
        format!("*.{component}.firedrill.test"),
    ];
    let mut params = dated_params(component, names)?;
    params
        .subject_alt_names
        .push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn dated_params(name: &str, names: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - VALID_SINCE;
    params.not_after = now + VALID_FOR;
    Ok(params)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}
