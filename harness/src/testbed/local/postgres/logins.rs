//! Who logs in: every component of every drill under a name of its own, and the harness under another.
//!
//! Tables belong to a role that all databases of a component have in common and that nobody logs in as once the template
//! is made. So a drill may change the login of one component, and neither other drills nor the harness feel it.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;

use super::{
    databases::{execute, failed, quoted},
    scram,
};
use crate::testbed::TestbedError;

/// The role that the harness looks into databases as.
pub(super) const HARNESS: &str = "firedrill_harness";
/// Sessions that are told to end are gone within this time.
const GONE_WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// So often in a row nobody may be found: a session is listed only a moment after its password was accepted.
const EMPTY_LOOKS: u32 = 3;

/// Makes the harness's role, which sees what sessions of others wait for, and returns its password. It gets the rights of
/// every owner from [`make_owner`].
pub(super) async fn make_harness(pool: &PgPool) -> Result<String, TestbedError> {
    let password = scram::random_password()?;
    let verifier = scram::verifier(&password)?;
    // A verifier holds no quote.
    let create =
        format!("CREATE ROLE {HARNESS} LOGIN PASSWORD '{verifier}' IN ROLE pg_read_all_stats");
    execute(pool, &create).await?;
    Ok(password)
}

/// Makes the role that owns a component's tables, and returns its password.
pub(super) async fn make_owner(pool: &PgPool, name: &str) -> Result<String, TestbedError> {
    let password = scram::random_password()?;
    let verifier = scram::verifier(&password)?;
    let role = quoted(name);
    execute(
        pool,
        &format!("CREATE ROLE {role} LOGIN PASSWORD '{verifier}'"),
    )
    .await?;
    execute(pool, &format!("GRANT {role} TO {HARNESS}")).await?;
    Ok(password)
}

/// What makes a component's login for one drill: a role with the owner's rights, whose sessions make everything that they
/// make the owner's.
pub(super) fn making(login: &str, owner: &str, password: &str) -> Result<String, TestbedError> {
    let verifier = scram::verifier(password)?;
    let (login, role) = (quoted(login), quoted(owner));
    let owner = owner.replace('\'', "''");
    Ok(format!(
        "CREATE ROLE {login} LOGIN PASSWORD '{verifier}' IN ROLE {role}; ALTER ROLE {login} SET role TO '{owner}'"
    ))
}

/// Gives a login another password, and returns that. Sessions that are open stay open.
pub(super) async fn change_password(pool: &PgPool, login: &str) -> Result<String, TestbedError> {
    let password = scram::random_password()?;
    let verifier = scram::verifier(&password)?;
    let login = quoted(login);
    execute(pool, &format!("ALTER ROLE {login} PASSWORD '{verifier}'")).await?;
    Ok(password)
}

/// Ends the sessions of a login, those included that were just being let in.
pub(super) async fn end_sessions(pool: &PgPool, login: &str) -> Result<(), TestbedError> {
    let doing = || format!("ending the sessions of {login}");
    let started = Instant::now();
    let mut look_again = tokio::time::interval(LOOK_AGAIN_AFTER);
    let mut empty_looks = 0;
    while empty_looks < EMPTY_LOOKS {
        look_again.tick().await;
        let told: i64 = sqlx::query_scalar(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1",
        )
        .bind(login)
        .fetch_one(pool)
        .await
        .map_err(|error| failed(&doing(), &error.to_string()))?;
        empty_looks = if told == 0 { empty_looks + 1 } else { 0 };
        if started.elapsed() > GONE_WITHIN {
            let reason = format!("{told} are left after {} s", GONE_WITHIN.as_secs());
            return Err(failed(&doing(), &reason));
        }
    }
    Ok(())
}
