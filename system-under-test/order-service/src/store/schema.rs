//! Whether the database has the tables and columns that this program was written for.
//!
//! Migrations are applied at start; who changes the tables behind the program's back, or runs another version's migration
//! too early, is noticed here, before a customer's order fails on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use service_kit::shutdown::Shutdown;

use super::{Store, StoreError};

/// The columns that this program reads and writes, by table; `?` marks those that it may leave empty.
const EXPECTED: [(&str, &str); 7] = [
    ("products", "product_id price_minor currency"),
    (
        "orders",
        "order_id reference customer_id state amount_minor currency version created_at updated_at note?",
    ),
    (
        "order_lines",
        "order_id line product_id quantity price_minor",
    ),
    ("audit", "order_id version from_state? to_state cause at"),
    (
        "outbox",
        "outbox_id message_id topic message_key payload traceparent? created_at published_at? parked_at? parked_reason?",
    ),
    ("idempotency_keys", "key request_hash order_id created_at"),
    ("inbox", "message_id topic order_id processed_at"),
];

/// What is known of the database's tables; clones share it. Until somebody has looked they count as fitting.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    differs: Arc<Mutex<Option<String>>>,
}

impl Schema {
    /// Whether the tables fit.
    ///
    /// # Errors
    /// What differs, in words.
    pub fn fits(&self) -> Result<(), String> {
        let differs = self.differs.lock().unwrap_or_else(PoisonError::into_inner);
        differs.clone().map_or(Ok(()), Err)
    }

    fn note(&self, differs: Option<String>) {
        let mut before = self.differs.lock().unwrap_or_else(PoisonError::into_inner);
        if *before != differs {
            match &differs {
                Some(differs) => tracing::error!(differs, "the database does not fit this program"),
                None => tracing::info!("the database fits this program again"),
            }
        }
        *before = differs;
    }
}

/// A column as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Column {
    may_be_empty: bool,
    has_default: bool,
}

type Columns = BTreeMap<(String, String), Column>;

impl Store {
    /// Looks at the tables now and notes what differs. While the database is out of reach nothing new is known.
    ///
    /// # Errors
    /// [`StoreError::NothingDone`].
    pub async fn look_at_schema(&self) -> Result<(), StoreError> {
        let read = async {
            let rows: Vec<(String, String, bool, bool)> = sqlx::query_as(
                "select tables.relname::text, columns.attname::text, not columns.attnotnull,
                        columns.atthasdef or columns.attidentity <> ''
                 from pg_attribute as columns
                 join pg_class as tables on tables.oid = columns.attrelid
                 join pg_namespace as schemas on schemas.oid = tables.relnamespace
                 where schemas.nspname = current_schema() and tables.relkind in ('r', 'p')
                   and columns.attnum > 0 and not columns.attisdropped",
            )
            .fetch_all(&self.pool)
            .await?;
            Ok(rows)
        };
        let rows: Vec<_> = self
            .settings
            .database
            .bounded::<_, StoreError, _>(read)
            .await?;
        let actual: Columns = rows
            .into_iter()
            .map(|(table, column, may_be_empty, has_default)| {
                let as_it_is = Column {
                    may_be_empty,
                    has_default,
                };
                ((table, column), as_it_is)
            })
            .collect();
        let differences = differences(&actual);
        let words = (!differences.is_empty()).then(|| differences.join("; "));
        self.schema.note(words);
        Ok(())
    }

    /// Looks again and again until the shutdown.
    ///
    /// # Errors
    /// None; the type is what the service's tasks have.
    pub async fn watch_schema(self, every: Duration, shutdown: Shutdown) -> Result<(), StoreError> {
        loop {
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                () = shutdown.begun() => return Ok(()),
            }
            if let Err(error) = self.look_at_schema().await {
                tracing::debug!(%error, "the tables could not be looked at");
            }
        }
    }
}

/// What keeps this program from working on these columns, in words.
fn differences(actual: &Columns) -> Vec<String> {
    let mut found = Vec::new();
    for (table, columns) in EXPECTED {
        let mut known = Vec::new();
        for column in columns.split(' ') {
            let (name, left_empty) = match column.strip_suffix('?') {
                Some(name) => (name, true),
                None => (column, false),
            };
            known.push(name);
            match actual.get(&(table.to_owned(), name.to_owned())) {
                None => found.push(format!("table {table} has no column {name}")),
                Some(column) if left_empty && !column.may_be_empty => {
                    found.push(format!("column {name} of table {table} must not be empty"));
                }
                Some(_) => {}
            }
        }
        for ((of, name), column) in actual {
            let must_be_filled = !column.may_be_empty && !column.has_default;
            if of == table && !known.contains(&name.as_str()) && must_be_filled {
                found.push(format!(
                    "column {name} of table {table} must not be empty, and this program does not know it"
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_expected() -> Columns {
        let mut columns = Columns::new();
        for (table, names) in EXPECTED {
            for name in names.split(' ') {
                let column = Column {
                    may_be_empty: name.ends_with('?'),
                    has_default: false,
                };
                let name = name.trim_end_matches('?').to_owned();
                columns.insert((table.to_owned(), name), column);
            }
        }
        columns
    }

    fn changed(change: impl FnOnce(&mut Columns)) -> Vec<String> {
        let mut columns = as_expected();
        change(&mut columns);
        differences(&columns)
    }

    fn key(table: &str, column: &str) -> (String, String) {
        (table.to_owned(), column.to_owned())
    }

    #[test]
    fn what_keeps_the_program_from_working_is_named_and_nothing_else() {
        assert!(changed(|_| ()).is_empty());
        let renamed = changed(|columns| {
            let column = columns.remove(&key("orders", "currency")).expect("there");
            columns.insert(key("orders", "money"), column);
        });
        assert_eq!(renamed.len(), 2, "{renamed:?}");
        assert_eq!(renamed[0], "table orders has no column currency");
        let filled = changed(|columns| {
            let column = columns.get_mut(&key("audit", "from_state")).expect("there");
            column.may_be_empty = false;
        });
        assert_eq!(
            filled,
            ["column from_state of table audit must not be empty"]
        );
        let new = |may_be_empty, has_default| {
            changed(|columns| {
                let column = Column {
                    may_be_empty,
                    has_default,
                };
                columns.insert(key("orders", "region"), column);
            })
        };
        assert_eq!(new(false, false).len(), 1);
        assert!(new(true, false).is_empty() && new(false, true).is_empty());
    }
}
