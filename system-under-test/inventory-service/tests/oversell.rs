//! A race at the marked moment before the decrement. One test, as fail-points belong to the whole process.

#[path = "inventory_service/support.rs"]
mod support;

use inventory_service::FAIL_POINTS;
use inventory_service::defences::Defence;
use service_kit::fail_point::{self, Action, Order};
use support::{Warehouse, paid};
use tokio::task::JoinSet;

async fn race(warehouse: &Warehouse) {
    let mut instances = JoinSet::new();
    for _ in 0..6 {
        let store = warehouse.store.clone();
        instances.spawn(async move { store.process(&paid(&[("p-0", 1)])).await.expect("stored") });
    }
    instances.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn read_and_write_apart_sell_the_same_unit_twice() {
    fail_point::register(&FAIL_POINTS);
    let slow = Order {
        action: Action::Delay,
        delay_ms: 300,
        times: None,
    };
    assert!(fail_point::arm("inventory.before-decrement", slow));

    let apart = Warehouse::new(&[Defence::AtomicDecrement], 1, 2).await;
    race(&apart).await;
    assert!(apart.given().await > 2, "the race did not oversell");

    let atomic = Warehouse::new(&[], 1, 2).await;
    race(&atomic).await;
    assert_eq!((atomic.given().await, atomic.on_hand("p-0").await), (2, 0));
}
