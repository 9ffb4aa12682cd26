//! A password that lies in a file, and may be replaced there while the process runs.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::files;
use crate::settings::Settings;
use crate::shutdown::Shutdown;

use super::Pool;

/// The setting that names the file.
const FILE: &str = "DATABASE_PASSWORD_FILE";

/// A file with the password of a database.
#[derive(Clone)]
pub struct PasswordFile {
    path: PathBuf,
    /// How often it is looked at again.
    look_every: Duration,
    /// What it held when the settings were read.
    held: Vec<u8>,
    /// The password in that.
    password: String,
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    /// It is not there, or not for us.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// There is nothing in it.
    #[error("is empty, it must hold the password of the database")]
    Empty,
    /// Nobody can have meant that as a password.
    #[error("must hold the password of the database in one line of text, and nothing else")]
    NoPassword,
}

impl PasswordFile {
    /// Reads `DATABASE_PASSWORD_FILE` and `DATABASE_PASSWORD_RELOAD_MS`, and the file, if there is to be one.
    pub(super) fn read(settings: &mut Settings) -> Option<Self> {
        let path = settings.path(
            FILE,
            "a file with the password in one line; goes before that of DATABASE_URL",
        );
        let look_every_ms = settings.number(
            "DATABASE_PASSWORD_RELOAD_MS",
            1_000,
            10..=3_600_000,
            "how often that file is looked at again",
        );
        let path = path?;
        let held = files::read_for_settings(&path).map_err(Unusable::from);
        match held.and_then(|held| Ok((password_in(&held)?.to_owned(), held))) {
            Ok((password, held)) => Some(Self {
                path,
                look_every: Duration::from_millis(look_every_ms),
                held,
                password,
            }),
            Err(why) => {
                settings.problem(FILE, format!("{} {why}", path.display()));
                None
            }
        }
    }

    /// The password that it held when the settings were read.
    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// Lets the connections that a pool opens from now on use what the file holds, whenever that changes, until shutdown.
    /// What is no password leaves the earlier one in use; so does a file that cannot be read.
    ///
    /// # Errors
    /// None; as a task of a service it has the shape of one.
    pub(super) async fn follow(self, pool: Pool, shutdown: Shutdown) -> Result<(), Infallible> {
        let path = self.path.display().to_string();
        let changed = |held: &[u8]| match password_in(held) {
            Ok(password) => {
                pool.set_connect_options(|address| address.password(password));
                tracing::info!(path, "the password of the database was taken up anew");
            }
            Err(why) => tracing::error!(
                path,
                %why,
                "the password of the database changed and cannot be used; the earlier one is kept"
            ),
        };
        files::follow(&self.path, self.held, self.look_every, &shutdown, changed).await;
        Ok(())
    }
}

/// The password is left out.
impl fmt::Debug for PasswordFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PasswordFile")
            .field("path", &self.path)
            .field("look_every", &self.look_every)
            .finish_non_exhaustive()
    }
}

/// The password that a file holds; the end of its line is not part of it.
fn password_in(held: &[u8]) -> Result<&str, Unusable> {
    let text = std::str::from_utf8(held).map_err(|_| Unusable::NoPassword)?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(Unusable::Empty);
    }
    if line.contains(char::is_control) {
        return Err(Unusable::NoPassword);
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::DatabaseSettings;
    use super::*;
    use crate::settings::SettingsError;

    fn settings(file: &Path) -> Result<DatabaseSettings, SettingsError> {
        let values = [
            ("DATABASE_URL", "postgres://user:of-the-url@127.0.0.1/shop"),
            ("DATABASE_PASSWORD_FILE", file.to_str().expect("text")),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Settings::read(values, DatabaseSettings::read)
    }

    #[test]
    fn a_password_is_the_line_of_its_file_and_is_never_shown() {
        for held in ["s3cret word", "s3cret word\n", "s3cret word\r\n"] {
            assert_eq!(
                password_in(held.as_bytes()).expect("a password"),
                "s3cret word"
            );
        }
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        std::fs::write(&file, "s3cret\n").expect("written");
        let settings = settings(&file).expect("good settings");
        let password = settings.password_file.as_ref().map(PasswordFile::password);
        assert_eq!(password, Some("s3cret"));
        let shown = format!("{settings:?}");
        for secret in ["s3cret", "of-the-url"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn a_file_without_a_password_is_a_bad_setting_and_is_not_quoted() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        let problem = || settings(&file).expect_err("refused").to_string();
        let expected = |why: &str| {
            let said = problem();
            let begins = format!("DATABASE_PASSWORD_FILE: {} {why}", file.display());
            assert!(said.starts_with(&begins), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
        };
        expected("cannot be read: ");
        for (held, why) in [
            (&b""[..], "is empty"),
            (b"\n", "is empty"),
            (b"PASSWORD=s3cret\nOTHER=1\n", "must hold the password"),
            (b"s3cret\xff", "must hold the password"),
        ] {
            std::fs::write(&file, held).expect("written");
            expected(why);
        }
        std::fs::write(&file, vec![b's'; 2 * 1024 * 1024]).expect("written");
        expected("cannot be read: ");
    }
}
