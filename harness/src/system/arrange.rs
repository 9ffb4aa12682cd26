//! Putting products and stock in place before a drill.

use sqlx::{AssertSqlSafe, PgPool};

/// A product that customers can order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its id, `p-0001`.
    pub product_id: String,
    /// Price of one unit, in minor units of the currency.
    pub price_minor: i64,
    /// Currency, `EUR`.
    pub currency: String,
    /// Units in stock.
    pub units: i64,
}

/// What a statement reads the products from.
const ARRANGED: &str = "arranged (product_id, price_minor, currency, units) as \
                        (select * from unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[]))";

/// Executes one statement with all products in the relation `arranged`.
pub(super) async fn execute(pool: &PgPool, sql: &str, products: &[Product]) -> Result<(), String> {
    let ids: Vec<&str> = products.iter().map(|one| one.product_id.as_str()).collect();
    let prices: Vec<i64> = products.iter().map(|one| one.price_minor).collect();
    let currencies: Vec<&str> = products.iter().map(|one| one.currency.as_str()).collect();
    let units: Vec<i64> = products.iter().map(|one| one.units).collect();
    sqlx::query(AssertSqlSafe(with_products(sql)))
        .bind(ids)
        .bind(prices)
        .bind(currencies)
        .bind(units)
        .execute(pool)
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}

/// The statement with the relation `arranged` in front.
fn with_products(sql: &str) -> String {
    let sql = sql.trim();
    let own_relations = sql.get(..5).filter(|start| {
        start.eq_ignore_ascii_case("with ") || start.eq_ignore_ascii_case("with\n")
    });
    match own_relations {
        Some(start) => format!("with {ARRANGED}, {}", &sql[start.len()..]),
        None => format!("with {ARRANGED} {sql}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_may_have_relations_of_its_own() {
        assert!(with_products("insert into a select 1").ends_with(")) insert into a select 1"));
        assert!(
            with_products("\nWITH x as (select 1) delete from a")
                .ends_with(")), x as (select 1) delete from a")
        );
    }
}
