//! Tables that somebody changes behind the program's back, in a real PostgreSQL.

use axum::http::StatusCode;
use order_service::domain::{Answer, State};
use order_service::store::StoreError;
use order_service::store::answer::Effect;

use crate::answers::{answered, placed};
use crate::support::{Shop, order};

async fn change(shop: &Shop, sql: &'static str) {
    let changed = sqlx::query(sql).execute(&shop.database.pool).await;
    changed.expect("changed");
    shop.store.look_at_schema().await.expect("looked");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_migrations_make_what_the_program_expects() {
    let shop = Shop::new(&[]).await;
    shop.store.look_at_schema().await.expect("looked");
    assert_eq!(shop.store.schema().fits(), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_tables_are_not_those_of_the_program_nothing_is_written() {
    let shop = Shop::new(&[]).await;
    let order_id = placed(&shop).await;
    change(&shop, "alter table orders rename column currency to money").await;
    let differs = shop.store.schema().fits().expect_err("it differs");
    assert!(
        differs.contains("orders has no column currency"),
        "{differs}"
    );
    let (status, answer) = shop.post(None, &order("r-2")).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"overloaded".into())
    );
    let refused = shop.store.apply(answered(order_id, Answer::Charged)).await;
    assert!(
        matches!(refused, Err(StoreError::SchemaDiffers(_))),
        "{refused:?}"
    );
    change(&shop, "alter table orders rename column money to currency").await;
    assert_eq!(shop.store.schema().fits(), Ok(()));

    // A column that this program need not know is no hindrance until it must be filled.
    let unknown = "alter table audit add column region text not null default 'north'";
    change(&shop, unknown).await;
    assert_eq!(shop.store.schema().fits(), Ok(()));
    change(&shop, "alter table audit alter column region drop default").await;
    let differs = shop.store.schema().fits().expect_err("it differs");
    assert!(
        differs.contains("column region of table audit"),
        "{differs}"
    );
    change(&shop, "alter table audit drop column region").await;
    let effect = shop.store.apply(answered(order_id, Answer::Charged)).await;
    assert_eq!(effect.expect("stored"), Effect::Moved(State::Paid));
    assert_eq!(shop.count("select count(*) from orders").await, 1);
}
