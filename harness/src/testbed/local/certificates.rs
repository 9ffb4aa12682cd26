//! A drill's own certificate authorities, a server certificate for every component, and whom every component trusts.
//!
//! Made anew for each drill, so that a drill may replace any of it. The authorities' keys stay in memory; the files lie in
//! a folder of the drill's own and go with it.

use std::{
    collections::BTreeMap,
    fs::Permissions,
    io,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

use super::private_file;
use crate::testbed::{
    TestbedError,
    certificate::{self, Authority, Expiry, Issued, Owner, Terms},
};

/// Long enough for a night of exploring, short enough that a leaked key is worth nothing.
const VALID_FOR: Duration = Duration::days(7);
/// Tolerates a clock that was set back.
const VALID_SINCE: Duration = Duration::days(1);
/// How long ago one that was good once has expired; more than any clock is wrong.
const EXPIRED_SINCE: Duration = Duration::hours(1);
/// The domain in which components have names.
const DOMAIN: &str = "firedrill.test";

type KeyHolder = CertifiedIssuer<'static, KeyPair>;

/// The authorities of a drill and the files that components are told about. Dropping it removes the files.
#[derive(Debug)]
pub struct Certificates {
    first: KeyHolder,
    second: KeyHolder,
    first_pem: String,
    first_file: PathBuf,
    components: BTreeMap<String, ComponentFiles>,
    folder: TempDir,
    /// Who answers for the certificates of the components that have left the first authority. Held while files are replaced.
    answering: Mutex<BTreeMap<String, Authority>>,
}

/// What a component is told about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentFiles {
    /// PEM file with its own certificate.
    pub certificate: PathBuf,
    /// PEM file with its private key, readable by this user only.
    pub private_key: PathBuf,
    /// PEM file with the authorities that it trusts.
    pub trusted: PathBuf,
}

impl Certificates {
    /// Makes the authorities and a certificate for each component, and writes them into a new folder of `run`. Everybody
    /// trusts the first authority, which has issued all of them.
    ///
    /// # Errors
    /// A key cannot be made or a file not be written.
    pub fn make<'a>(
        run: &Path,
        drill: &str,
        components: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, TestbedError> {
        let doing = || format!("making the certificates of {drill} in {}", run.display());
        let failed = |reason: &dyn std::fmt::Display| failed(doing(), reason);
        let folder = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o700))
            .prefix(&format!("certificates-{drill}-"))
            .tempdir_in(run)
            .map_err(|error| failed(&error))?;
        let first =
            make_authority("firedrill testbed authority").map_err(|error| failed(&error))?;
        let second =
            make_authority("firedrill second authority").map_err(|error| failed(&error))?;
        let first_pem = first.pem();
        let first_file = folder.path().join("ca.pem");
        private_file::write(&first_file, &first_pem).map_err(|error| failed(&error))?;
        let mut certificates = Self {
            first,
            second,
            first_pem,
            first_file,
            components: BTreeMap::new(),
            folder,
            answering: Mutex::default(),
        };
        for component in components {
            let path = |ending: &str| {
                certificates
                    .folder
                    .path()
                    .join(format!("{component}{ending}"))
            };
            let files = ComponentFiles {
                certificate: path(".pem"),
                private_key: path(".key"),
                trusted: path(".ca.pem"),
            };
            certificates.components.insert(component.to_owned(), files);
            certificates.serve(component, Terms::default())?;
            certificates.trust(component, &[Authority::First])?;
        }
        Ok(certificates)
    }

    /// The certificate of the authority that everybody trusts from the start, PEM.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        &self.first_pem
    }

    /// File with that certificate, PEM.
    #[must_use]
    pub fn authority_file(&self) -> &Path {
        &self.first_file
    }

    /// A component's files.
    #[must_use]
    pub fn files(&self, component: &str) -> Option<&ComponentFiles> {
        self.components.get(component)
    }

    /// Puts a new certificate with a new key into a component's files. Each is replaced as a whole; whoever reads between
    /// the two finds a key that does not fit.
    ///
    /// # Errors
    /// The component is not started, or a file cannot be written.
    pub fn serve(&self, component: &str, terms: Terms) -> Result<Issued, TestbedError> {
        let doing = || format!("replacing the certificate of {component}");
        let files = self.of(component, doing)?;
        let mut answering = self
            .answering
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let unknown;
        let issuer = match terms.issuer {
            certificate::Issuer::AsBefore => {
                let authority = answering.get(component).copied();
                self.key_holder(authority.unwrap_or(Authority::First))
            }
            certificate::Issuer::Authority(authority) => {
                answering.insert(component.to_owned(), authority);
                self.key_holder(authority)
            }
            certificate::Issuer::Unknown => {
                unknown = make_authority("an authority that nobody knows")
                    .map_err(|error| failed(doing(), &error))?;
                &unknown
            }
        };
        let made =
            make_server(component, terms, issuer).map_err(|error| failed(doing(), &error))?;
        private_file::replace(&files.certificate, &made.certificate_pem)
            .and_then(|()| private_file::replace(&files.private_key, &made.key_pem))
            .map_err(|error| failed(doing(), &error))?;
        Ok(made.issued)
    }

    /// Puts the certificates of these authorities into the file of those that a component trusts.
    ///
    /// # Errors
    /// The component is not started, or the file cannot be written.
    pub fn trust(&self, component: &str, authorities: &[Authority]) -> Result<(), TestbedError> {
        let doing = || format!("replacing the authorities that {component} trusts");
        let files = self.of(component, doing)?;
        let pems = authorities
            .iter()
            .map(|authority| self.key_holder(*authority).pem());
        let bundle: String = pems.collect();
        let _alone = self
            .answering
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        private_file::replace(&files.trusted, &bundle).map_err(|error| failed(doing(), &error))
    }

    /// Removes the files now; dropping it does so as well, and says nothing where it fails.
    ///
    /// # Errors
    /// The folder cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(self.folder.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn key_holder(&self, authority: Authority) -> &KeyHolder {
        match authority {
            Authority::First => &self.first,
            Authority::Second => &self.second,
        }
    }

    fn of(
        &self,
        component: &str,
        doing: impl Fn() -> String,
    ) -> Result<&ComponentFiles, TestbedError> {
        self.components
            .get(component)
            .ok_or_else(|| failed(doing(), &"no component of this name is started"))
    }
}

/// A certificate and its key.
struct Made {
    certificate_pem: String,
    key_pem: String,
    issued: Issued,
}

fn make_authority(name: &str) -> Result<KeyHolder, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = named(name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - VALID_SINCE;
    params.not_after = now + VALID_FOR;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn make_server(component: &str, terms: Terms, issuer: &KeyHolder) -> Result<Made, rcgen::Error> {
    let mut params = match terms.owner {
        Owner::Itself => own_names(component)?,
        Owner::Another => CertificateParams::new(vec![format!("somebody-else.{DOMAIN}")])?,
    };
    params.distinguished_name = named(component);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - VALID_SINCE;
    params.not_after = match terms.expiry {
        Expiry::AfterTheDrill => now + VALID_FOR,
        Expiry::Past => now - EXPIRED_SINCE,
        Expiry::After(time) => now + time,
    };
    // It is good in the second that it names (RFC 5280, section 4.1.2.5), and not in the next one.
    let expires_at = params
        .not_after
        .replace_nanosecond(0)
        .unwrap_or(params.not_after)
        + Duration::SECOND;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    Ok(Made {
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
        issued: Issued {
            der: certificate.der().to_vec(),
            expires_at: expires_at.into(),
        },
    })
}

/// All names and addresses at which a component is reached.
fn own_names(component: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(vec![
        component.to_owned(),
        "localhost".to_owned(),
        format!("{component}.{DOMAIN}"),
        format!("*.{component}.{DOMAIN}"),
    ])?;
    params
        .subject_alt_names
        .push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn failed(doing: String, reason: &dyn std::fmt::Display) -> TestbedError {
    TestbedError::Failed {
        doing,
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(run: &Path) -> Certificates {
        Certificates::make(run, "d0001", ["shop", "desk"]).expect("certificates")
    }

    #[test]
    fn files_are_private_and_go_with_the_drill() {
        let run = tempfile::tempdir().expect("a folder");
        let certificates = made(run.path());
        let files = certificates.files("shop").expect("it is started").clone();
        for file in [&files.certificate, &files.private_key, &files.trusted] {
            let mode = std::fs::metadata(file)
                .expect("it is there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
        let folder = files.trusted.parent().expect("a folder").to_owned();
        let mode = std::fs::metadata(&folder)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
        let left = std::fs::read_dir(&folder).expect("it is there").count();
        assert_eq!(left, 7, "one authority, and three files a component");
        drop(certificates);
        assert!(!folder.exists());
    }

    #[test]
    fn what_one_component_shows_and_trusts_is_its_own() {
        let run = tempfile::tempdir().expect("a folder");
        let certificates = made(run.path());
        let read = |component: &str| {
            let files = certificates.files(component).expect("it is started");
            [&files.certificate, &files.private_key, &files.trusted]
                .map(|file| std::fs::read_to_string(file).expect("it is there"))
        };
        let (shop, desk) = (read("shop"), read("desk"));
        assert_eq!(shop[2], certificates.authority_pem());
        let terms = Terms {
            issuer: certificate::Issuer::Authority(Authority::Second),
            ..Terms::default()
        };
        certificates.serve("shop", terms).expect("replaced");
        let both = [Authority::First, Authority::Second];
        certificates.trust("shop", &both).expect("replaced");
        for (before, after) in shop.iter().zip(read("shop")) {
            assert_ne!(*before, after);
        }
        assert!(read("shop")[2].starts_with(certificates.authority_pem()));
        assert_eq!(read("desk"), desk);
    }

    #[test]
    fn nothing_is_issued_to_strangers() {
        let run = tempfile::tempdir().expect("a folder");
        let certificates = made(run.path());
        let stranger = certificates.serve("shpo", Terms::default());
        assert!(stranger.is_err_and(|error| error.to_string().contains("shpo")));
        assert!(certificates.trust("shpo", &[Authority::First]).is_err());
    }

    #[test]
    fn a_certificate_says_when_it_stops_being_good() {
        let run = tempfile::tempdir().expect("a folder");
        let certificates = made(run.path());
        let terms = Terms {
            expiry: Expiry::After(std::time::Duration::from_secs(3)),
            ..Terms::default()
        };
        let before = std::time::SystemTime::now();
        let issued = certificates.serve("shop", terms).expect("replaced");
        let left = issued.expires_at.duration_since(before).expect("later");
        assert!((3_000..=4_000).contains(&left.as_millis()), "{left:?}");
    }
}
