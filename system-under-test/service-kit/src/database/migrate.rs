//! Migrations that are part of the program.
//!
//! Version, description and checksum are derived from file name and text as `sqlx::migrate::Migrator::new(folder)` does,
//! so a database prepared from the files is left alone, and the other way round.

use std::borrow::Cow;
use std::time::Duration;

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::shutdown::Shutdown;

use super::Pool;

/// Pause between attempts to reach a database that is not there yet, or takes another password.
const PAUSE: Duration = Duration::from_millis(200);

/// Why the database could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A migration is not named `<version>_<description>.sql`.
    #[error("migration `{0}` is not named <version>_<description>.sql")]
    Name(String),
    /// The database refused, or holds other migrations than this program.
    #[error("migration failed: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The process was asked to stop while it waited for the database.
    #[error("stopped while waiting for the database")]
    Stopped,
}

/// The migrator of `(file name, text)` pairs.
///
/// # Errors
/// [`MigrateError::Name`].
pub fn migrator(files: &[(&'static str, &'static str)]) -> Result<Migrator, MigrateError> {
    let migrations: Result<Vec<_>, _> = files
        .iter()
        .map(|(name, text)| migration(name, text))
        .collect();
    Ok(Migrator::with_migrations(migrations?))
}

fn migration(name: &'static str, text: &'static str) -> Result<Migration, MigrateError> {
    let wrong = || MigrateError::Name(name.to_owned());
    let stem = name.strip_suffix(".sql").ok_or_else(wrong)?;
    let (version, description) = stem.split_once('_').ok_or_else(wrong)?;
    let version = version.parse().map_err(|_| wrong())?;
    let description = Cow::Owned(description.replace('_', " "));
    Ok(Migration::new(
        version,
        description,
        MigrationType::Simple,
        SqlStr::from_static(text),
        false,
    ))
}

/// Brings the database up to date. While it cannot be reached or refuses the password, which may change on either side,
/// tries again until it can or the process is to stop.
///
/// # Errors
/// The migrations do not fit the database, or the process is to stop.
pub async fn migrate(
    pool: &Pool,
    files: &[(&'static str, &'static str)],
    shutdown: &Shutdown,
) -> Result<(), MigrateError> {
    let migrator = migrator(files)?;
    loop {
        match run(&migrator, pool).await {
            Ok(()) => return Ok(()),
            Err(error) if !is_out_of_reach(&error) => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "the database cannot be used, trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = shutdown.begun() => return Err(MigrateError::Stopped),
        }
    }
}

async fn run(migrator: &Migrator, pool: &Pool) -> Result<(), sqlx::migrate::MigrateError> {
    let mut lent = pool.acquire().await?;
    // `run` does as much, but a task that waits for it is refused by the compiler.
    migrator.run_direct(None, &mut *lent, false).await?;
    lent.give_back();
    Ok(())
}

fn is_out_of_reach(error: &sqlx::migrate::MigrateError) -> bool {
    use sqlx::Error as Sql;
    let sqlx::migrate::MigrateError::Execute(cause) = error else {
        return false;
    };
    match cause {
        Sql::Io(_) | Sql::PoolTimedOut | Sql::Tls(_) | Sql::Protocol(_) => true,
        // 57P03: the server is starting; 53300: too many connections; 57P01: it ends; 28P01: another password.
        Sql::Database(cause) => cause
            .code()
            .is_some_and(|code| matches!(code.as_ref(), "57P03" | "53300" | "57P01" | "28P01")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_description_come_from_the_file_name() {
        let migrator = migrator(&[("0001_orders_and_lines.sql", "select 1")]).expect("well named");
        let first = migrator.iter().next().expect("one migration");
        assert_eq!(
            (first.version, first.description.as_ref()),
            (1, "orders and lines")
        );
        for name in ["orders.sql", "0001_orders", "x_orders.sql"] {
            assert!(super::migrator(&[(name, "")]).is_err(), "{name}");
        }
    }
}
