//! Taking stock, against a real PostgreSQL.

use contracts::{OrderEvent, OrderEventKind};
use inventory_service::defences::Defence;
use inventory_service::store::StoreError;
use tokio::task::JoinSet;

use crate::support::{Warehouse, event, kind, paid};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_gets_everything_or_nothing() {
    let warehouse = Warehouse::new(&[], 2, 3).await;
    let answer = warehouse
        .store
        .process(&paid(&[("p-0", 1), ("p-1", 2), ("p-0", 1)]))
        .await
        .expect("stored");
    assert_eq!(kind(&answer), "taken");
    assert_eq!(
        (
            warehouse.on_hand("p-0").await,
            warehouse.on_hand("p-1").await
        ),
        (1, 1)
    );

    let answer = warehouse
        .store
        .process(&paid(&[("p-0", 1), ("p-1", 2)]))
        .await
        .expect("stored");
    assert_eq!(kind(&answer), "out_of_stock");
    assert_eq!(answer.expect("an answer")["product_id"], "p-1");
    assert_eq!(
        (
            warehouse.on_hand("p-0").await,
            warehouse.on_hand("p-1").await
        ),
        (1, 1)
    );
    assert_eq!(warehouse.count("select count(*) from stock_moves").await, 2);
    assert_eq!(
        warehouse
            .count("select sum(on_hand_after)::bigint from stock_moves")
            .await,
        2
    );

    let unknown = warehouse
        .store
        .process(&paid(&[("none", 1)]))
        .await
        .expect("stored");
    assert_eq!(kind(&unknown), "out_of_stock");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_events_are_recorded_and_change_nothing() {
    let warehouse = Warehouse::new(&[], 1, 3).await;
    for kind in [
        OrderEventKind::Placed,
        OrderEventKind::Fulfilled,
        OrderEventKind::Refunded,
    ] {
        let answer = warehouse
            .store
            .process(&event(kind, &[("p-0", 1)]))
            .await
            .expect("stored");
        assert_eq!(answer, None);
    }
    assert_eq!(warehouse.count("select count(*) from inbox").await, 3);
    assert_eq!(warehouse.given().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_event_gets_the_same_answer_and_nothing_more() {
    let warehouse = Warehouse::new(&[], 1, 3).await;
    let event = paid(&[("p-0", 1)]);
    let first = warehouse.store.process(&event).await.expect("stored");
    assert_eq!(warehouse.store.process(&event).await.expect("read"), first);
    assert_eq!(warehouse.given().await, 1);

    let open = Warehouse::new(&[Defence::Dedup], 1, 3).await;
    open.store.process(&event).await.expect("stored");
    open.store.process(&event).await.expect("stored");
    assert_eq!(
        open.given().await,
        2,
        "without the defence it is taken twice"
    );
    assert_eq!(open.count("select count(*) from inbox").await, 1);
}

async fn all_at_once(
    warehouse: &Warehouse,
    events: Vec<OrderEvent>,
) -> Vec<Result<String, StoreError>> {
    let mut instances = JoinSet::new();
    for event in events {
        let store = warehouse.store.clone();
        instances.spawn(async move {
            store
                .process(&event)
                .await
                .map(|answer| kind(&answer).to_owned())
        });
    }
    instances.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_race_for_the_last_units_sells_exactly_those() {
    let warehouse = Warehouse::new(&[], 1, 5).await;
    let answers = all_at_once(&warehouse, (0..25).map(|_| paid(&[("p-0", 1)])).collect()).await;
    let taken = answers
        .iter()
        .flatten()
        .filter(|kind| *kind == "taken")
        .count();
    assert_eq!(taken, 5);
    assert_eq!(answers.iter().flatten().count(), 25);
    assert_eq!(
        (warehouse.on_hand("p-0").await, warehouse.given().await),
        (0, 5)
    );
    assert_eq!(
        warehouse
            .count("select count(distinct on_hand_after) from stock_moves")
            .await,
        5
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_at_once_is_processed_once() {
    let warehouse = Warehouse::new(&[], 1, 50).await;
    let event = paid(&[("p-0", 2)]);
    let answers = all_at_once(&warehouse, vec![event; 10]).await;
    assert!(answers.iter().flatten().all(|kind| kind == "taken"));
    assert_eq!(warehouse.given().await, 2);
}

fn crossing(orders: usize) -> Vec<OrderEvent> {
    let one = [
        ("p-0", 1),
        ("p-1", 1),
        ("p-2", 1),
        ("p-3", 1),
        ("p-4", 1),
        ("p-5", 1),
    ];
    let mut other = one;
    other.reverse();
    (0..orders)
        .map(|number| {
            if number % 2 == 0 {
                paid(&one)
            } else {
                paid(&other)
            }
        })
        .collect()
}

async fn deadlocks(warehouse: &Warehouse) -> i64 {
    // The statistics of a session are shown when it is idle; asking for a flush makes them complete.
    warehouse
        .count("select deadlocks from pg_stat_database where datname = current_database()")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_lock_order_nobody_waits_for_each_other() {
    let warehouse = Warehouse::new(&[Defence::DeadlockRetry], 6, 1000).await;
    let answers = all_at_once(&warehouse, crossing(40)).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(
        (deadlocks(&warehouse).await, warehouse.given().await),
        (0, 240)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_deadlock_is_run_again_or_given_up() {
    let patient = Warehouse::new(&[Defence::LockOrder], 6, 1000).await;
    let answers = all_at_once(&patient, crossing(6)).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(patient.given().await, 36);

    let impatient = Warehouse::new(&[Defence::LockOrder, Defence::DeadlockRetry], 6, 1000).await;
    let answers = all_at_once(&impatient, crossing(16)).await;
    let given_up = answers
        .iter()
        .filter(|answer| matches!(answer, Err(StoreError::GivenUp(_))))
        .count();
    assert!(given_up > 0, "no deadlock came about");
    let done = answers.iter().flatten().count() as i64;
    assert_eq!(
        impatient.given().await,
        6 * done,
        "what was given up left nothing behind"
    );
}
