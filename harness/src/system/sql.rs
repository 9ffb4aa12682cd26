//! Facts and counts from a component's database.

use std::time::Duration;

use firedrill_oracle::record::{Fact, FactKind};
use futures::TryStreamExt;
use serde_json::{Map, Value};
use sqlx::{
    AssertSqlSafe, Column, Executor, PgPool, Row, SqlSafeStr, Statement as _, TypeInfo, ValueRef,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::fields::{FieldType, fact, fields};
use crate::diagnostic::suggestion;

/// Connections to one database at once: a fact query and a count may overlap.
const CONNECTIONS: u32 = 2;
/// How long a free connection is waited for.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(5);
/// How long the server may work on one statement.
const STATEMENT_LIMIT: &str = "20s";

/// Connections to a component's database; opened when they are needed.
pub(super) fn pool(url: &str) -> Result<PgPool, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let options = options
        .application_name("firedrill")
        .options([("statement_timeout", STATEMENT_LIMIT)]);
    Ok(PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_LIMIT)
        .test_before_acquire(false)
        .connect_lazy_with(options))
}

/// Reads facts; what was read before an error is in `facts`.
pub(super) async fn read(
    pool: &PgPool,
    kind: FactKind,
    sql: &str,
    facts: &mut Vec<Fact>,
) -> Result<(), String> {
    let text = |error: sqlx::Error| error.to_string();
    let mut connection = pool.acquire().await.map_err(text)?;
    let statement = connection
        .prepare(AssertSqlSafe(sql.to_owned()).into_sql_str())
        .await
        .map_err(text)?;
    let columns: Vec<(&str, &str)> = statement
        .columns()
        .iter()
        .map(|column| (column.name(), column.type_info().name()))
        .collect();
    check_columns(kind, &columns)?;
    let mut rows = statement.query().fetch(&mut *connection);
    while let Some(row) = rows.try_next().await.map_err(text)? {
        facts.push(fact(kind, json_row(kind, &row)?)?);
    }
    Ok(())
}

/// The one number that a query gives.
pub(super) async fn count(pool: &PgPool, sql: &str) -> Result<u64, String> {
    let row = sqlx::query(AssertSqlSafe(sql.to_owned()))
        .fetch_one(pool)
        .await
        .map_err(|error| error.to_string())?;
    let number: i64 = row
        .try_get(0)
        .map_err(|error| format!("the query must give one whole number: {error}"))?;
    u64::try_from(number).map_err(|_| format!("the query counted {number}"))
}

/// The columns must be the fields of the fact, each of a type that fits.
fn check_columns(kind: FactKind, columns: &[(&str, &str)]) -> Result<(), String> {
    let wanted = fields(kind);
    let names = wanted.iter().map(|(name, _)| *name);
    for (column, _) in columns {
        if !names.clone().any(|name| name == *column) {
            let remedy = suggestion(column, names.clone()).unwrap_or_default();
            let words = kind.words();
            return Err(format!(
                "column `{column}` is no field of {words} ({remedy})"
            ));
        }
    }
    for (name, holds) in wanted {
        let Some((_, sql_type)) = columns.iter().find(|(column, _)| column == name) else {
            if holds.is_spare() {
                continue;
            }
            return Err(format!(
                "the query gives no column `{name}` (write `... as {name}`)"
            ));
        };
        let fits = match holds {
            FieldType::Text | FieldType::OptionalText | FieldType::SpareText => {
                ["TEXT", "VARCHAR", "CHAR", "NAME", "UUID"].contains(sql_type)
            }
            FieldType::Integer | FieldType::SpareInteger => {
                ["INT2", "INT4", "INT8"].contains(sql_type)
            }
            FieldType::Boolean => *sql_type == "BOOL",
            FieldType::Moment | FieldType::SpareMoment => {
                ["TIMESTAMPTZ", "INT8"].contains(sql_type)
            }
        };
        if !fits {
            let cast = match holds {
                FieldType::Text | FieldType::OptionalText | FieldType::SpareText => "text",
                FieldType::Integer | FieldType::SpareInteger => "bigint",
                FieldType::Boolean => "boolean",
                FieldType::Moment | FieldType::SpareMoment => "timestamptz",
            };
            return Err(format!(
                "column `{name}` must be {}, but is {sql_type} (write `{name}::{cast}`)",
                holds.words()
            ));
        }
    }
    Ok(())
}

fn json_row(kind: FactKind, row: &PgRow) -> Result<Map<String, Value>, String> {
    fields(kind)
        .iter()
        .filter(|(name, holds)| !holds.is_spare() || row.try_column(*name).is_ok())
        .map(|(name, _)| {
            let value = json_value(row, name)
                .map_err(|error| format!("column `{name}` cannot be read: {error}"))?;
            Ok(((*name).to_owned(), value))
        })
        .collect()
}

fn json_value(row: &PgRow, name: &str) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(name)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let sql_type = raw.type_info().name().to_owned();
    Ok(match sql_type.as_str() {
        "UUID" => Value::String(row.try_get::<uuid::Uuid, _>(name)?.to_string()),
        "INT2" => row.try_get::<i16, _>(name)?.into(),
        "INT4" => row.try_get::<i32, _>(name)?.into(),
        "INT8" => row.try_get::<i64, _>(name)?.into(),
        "BOOL" => row.try_get::<bool, _>(name)?.into(),
        "TIMESTAMPTZ" => {
            let moment: OffsetDateTime = row.try_get(name)?;
            let written = moment.format(&Rfc3339);
            Value::String(written.map_err(|error| sqlx::Error::Decode(error.into()))?)
        }
        _ => Value::String(row.try_get(name)?),
    })
}
