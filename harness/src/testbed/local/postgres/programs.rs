//! Which PostgreSQL server programs are used: installed ones, else fetched ones.

use std::{
    ffi::OsString,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    super::{build::Progress, processes::User},
    fetch,
};
use crate::testbed::TestbedError;

/// The environment variable that names the folder with `postgres` and `initdb`.
pub(crate) const FOLDER_VARIABLE: &str = "FIREDRILL_POSTGRES_BIN";
/// The environment variable that chooses the source: `auto`, `installed` or `fetch`.
pub(crate) const SOURCE_VARIABLE: &str = "FIREDRILL_POSTGRES";
/// `DROP DATABASE ... WITH (FORCE)` came with this version.
const OLDEST_MAJOR: u32 = 13;
/// Folders below which distributions keep one folder of programs per version; `*` stands for the version.
const DISTRIBUTION_FOLDERS: [(&str, &str, &str); 4] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/usr/local", "pgsql", "bin"),
];

/// Where server programs are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PostgresSource {
    /// Installed ones, else fetched ones.
    #[default]
    Auto,
    /// Installed ones only.
    Installed,
    /// Fetched ones only.
    Fetch,
}

/// A folder with the programs of one server version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// The folder that holds `postgres` and `initdb`.
    pub folder: PathBuf,
    /// The server's version, `15.18`.
    pub version: String,
}

impl PostgresSource {
    /// What `FIREDRILL_POSTGRES` asks for; `Auto` when it is not set.
    ///
    /// # Errors
    /// It is set to an unknown word.
    pub fn from_environment() -> Result<Self, TestbedError> {
        let word = std::env::var(SOURCE_VARIABLE).unwrap_or_default();
        match word.as_str() {
            "" | "auto" => Ok(Self::Auto),
            "installed" => Ok(Self::Installed),
            "fetch" => Ok(Self::Fetch),
            _ => Err(TestbedError::Missing {
                what: format!("a meaning of {SOURCE_VARIABLE}={word}"),
                remedy: "use auto, installed or fetch".to_owned(),
            }),
        }
    }
}

impl Programs {
    /// Finds programs that `user` (or this user) can run, or fetches them into `cache`.
    ///
    /// # Errors
    /// There are none and none may or can be fetched.
    pub async fn find(
        source: PostgresSource,
        cache: &Path,
        user: Option<User>,
        progress: &Progress,
    ) -> Result<Self, TestbedError> {
        if source == PostgresSource::Fetch {
            return fetch::fetch(cache, user, progress).await;
        }
        if let Some(folder) = std::env::var_os(FOLDER_VARIABLE) {
            return Self::named(folder, user);
        }
        if let Some(found) = Self::installed(user) {
            return Ok(found);
        }
        if source == PostgresSource::Installed {
            return Err(TestbedError::Missing {
                what: format!("PostgreSQL's server programs, version {OLDEST_MAJOR} or newer,"),
                remedy: format!(
                    "install a postgresql server package, name the folder of its programs in {FOLDER_VARIABLE}, or \
                     set {SOURCE_VARIABLE}=fetch"
                ),
            });
        }
        fetch::fetch(cache, user, progress).await
    }

    /// A folder that was named is used or complained about; nothing else is tried.
    fn named(folder: OsString, user: Option<User>) -> Result<Self, TestbedError> {
        let folder = PathBuf::from(folder);
        Self::check(&folder, user).map_err(|reason| TestbedError::Missing {
            what: format!(
                "a usable PostgreSQL server in {FOLDER_VARIABLE}={}",
                folder.display()
            ),
            remedy: reason,
        })
    }

    fn installed(user: Option<User>) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .flat_map(|folder| [real_folder(&folder), Some(folder)])
            .flatten()
            .chain(distribution_folders())
            .find_map(|folder| Self::check(&folder, user).ok())
    }

    /// Whether both programs are in a folder, run, and are new enough; the reason if not.
    pub(super) fn check(folder: &Path, user: Option<User>) -> Result<Self, String> {
        let server = version_of(&folder.join("postgres"), user)?;
        let maker = version_of(&folder.join("initdb"), user)?;
        if server != maker {
            return Err(format!(
                "postgres is {server}, but the initdb beside it is {maker}"
            ));
        }
        match major(&server) {
            Some(major) if major >= OLDEST_MAJOR => {}
            _ => {
                return Err(format!(
                    "it is version {server}; {OLDEST_MAJOR} or newer is needed"
                ));
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            version: server,
        })
    }

    /// The server's major version.
    #[must_use]
    pub fn major(&self) -> u32 {
        major(&self.version).unwrap_or(OLDEST_MAJOR)
    }

    /// One of the programs.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Runs `PROGRAM --version` as the user that will run the server, who may not reach every folder that we do.
fn version_of(program: &Path, user: Option<User>) -> Result<String, String> {
    if !program.is_file() {
        return Err(format!("{} does not exist", program.display()));
    }
    let mut command = Command::new(program);
    command
        .arg("--version")
        .current_dir("/")
        .env_remove("LD_LIBRARY_PATH");
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
    let output = command
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match parse_version(&text) {
        Some(version) if output.status.success() => Ok(version),
        _ => Err(format!(
            "{} --version answers {:?}",
            program.display(),
            text.trim()
        )),
    }
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` gives `15.18`.
fn parse_version(text: &str) -> Option<String> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let version = version.split_whitespace().next()?;
    major(version)?;
    Some(version.to_owned())
}

/// `15.18`, `17beta1` and `18devel` all begin with it.
fn major(version: &str) -> Option<u32> {
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Behind a link on PATH lie the real programs, with initdb beside them.
fn real_folder(folder: &Path) -> Option<PathBuf> {
    Some(
        fs::canonicalize(folder.join("postgres"))
            .ok()?
            .parent()?
            .to_owned(),
    )
}

/// The folders of distributions that exist, newest version first.
fn distribution_folders() -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = DISTRIBUTION_FOLDERS
        .iter()
        .flat_map(|(parent, prefix, below)| versions_in(Path::new(parent), prefix, below))
        .collect();
    found.sort_by(|left, right| right.cmp(left));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn versions_in(parent: &Path, prefix: &str, below: &str) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?;
            let number = if version.is_empty() {
                0
            } else {
                major(version)?
            };
            Some((number, entry.path().join(below)))
        })
        .filter(|(_, folder)| folder.join("postgres").is_file())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let debian = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(parse_version(debian).as_deref(), Some("15.18"));
        assert_eq!(
            parse_version("postgres (PostgreSQL) 18beta1\n").as_deref(),
            Some("18beta1")
        );
        assert_eq!(parse_version("hello\n"), None);
        assert_eq!(major("18beta1"), Some(18));
    }

    #[test]
    fn a_wrapper_that_is_no_server_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["postgres", "initdb"] {
            let path = folder.path().join(name);
            fs::write(&path, "#!/bin/sh\necho wrapped\n").expect("written");
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .expect("chmod");
        }
        let refused = Programs::check(folder.path(), None);
        assert!(refused.is_err_and(|reason| reason.contains("wrapped")));
    }

    #[test]
    fn newer_versions_come_first() {
        let parent = tempfile::tempdir().expect("a folder");
        for version in ["9", "15", "17"] {
            let bin = parent.path().join(version).join("bin");
            fs::create_dir_all(&bin).expect("made");
            fs::write(bin.join("postgres"), "").expect("written");
        }
        let mut found = versions_in(parent.path(), "", "bin");
        found.sort_by(|left, right| right.cmp(left));
        let versions: Vec<u32> = found.into_iter().map(|(version, _)| version).collect();
        assert_eq!(versions, [17, 15, 9]);
    }
}
