//! Steps that add promises. Each writes an expectation to the journal; the oracle judges it with the others.

use cucumber::then;
use firedrill_oracle::record::Expectation;

use super::world::DrillWorld;

#[then(regex = r"^every promise is kept$")]
async fn every_promise(_: &mut DrillWorld) {
    // The always-on promises are checked after every scenario; the line says so to the reader.
}

#[then(regex = r"^the provider saw at most (\d+) attempts? per order$")]
async fn provider_attempts(world: &mut DrillWorld, at_most: u64) {
    expect(world, Expectation::ProviderAttemptsPerOrder { at_most }).await;
}

#[then(regex = r"^at most (\d+) percent of the attempts fail$")]
async fn failed_share(world: &mut DrillWorld, percent: u32) {
    expect(
        world,
        Expectation::FailedShare {
            at_most: f64::from(percent) / 100.0,
        },
    )
    .await;
}

#[then(regex = r"^at least (\d+) orders? (?:is|are) accepted$")]
async fn accepted(world: &mut DrillWorld, at_least: u64) {
    expect(world, Expectation::AcceptedOrders { at_least }).await;
}

#[then(regex = r"^at least (\d+) attempts? (?:is|are) left without an answer$")]
async fn unanswered(world: &mut DrillWorld, at_least: u64) {
    expect(world, Expectation::UnansweredAttempts { at_least }).await;
}

#[then(regex = r"^the stock that is shown is true$")]
async fn shown_stock(world: &mut DrillWorld) {
    expect(world, Expectation::ShownStockTrue).await;
}

#[then(regex = r"^customers see of at least (\d+) orders? that (?:it is|they are) ([a-z_]+)$")]
async fn orders_seen(world: &mut DrillWorld, at_least: u64, state: String) {
    expect(world, Expectation::OrdersSeen { state, at_least }).await;
}

#[then(regex = r"^no forged order is accepted$")]
async fn no_forged_order(world: &mut DrillWorld) {
    expect(world, Expectation::NoForgedOrder).await;
}

#[then(regex = r"^exactly (\d+) units? (?:is|are) sold$")]
async fn units_sold(world: &mut DrillWorld, exactly: i64) {
    expect(
        world,
        Expectation::UnitsSold {
            product_id: None,
            exactly,
        },
    )
    .await;
}

#[then(regex = r"^at least (\d+) orders? ends? ([a-z_]+)$")]
async fn orders_end(world: &mut DrillWorld, at_least: u64, state: String) {
    expect(
        world,
        Expectation::OrdersInState {
            state,
            at_least,
            at_most: None,
        },
    )
    .await;
}

#[then(regex = r"^at most (\d+) orders? ends? ([a-z_]+)$")]
async fn at_most_orders_end(world: &mut DrillWorld, at_most: u64, state: String) {
    expect(
        world,
        Expectation::OrdersInState {
            state,
            at_least: 0,
            at_most: Some(at_most),
        },
    )
    .await;
}

#[then(regex = r"^no component's memory grows by more than (\d+) percent$")]
async fn memory_flat(world: &mut DrillWorld, percent: u32) {
    expect(
        world,
        Expectation::MemoryGrowth {
            at_most: f64::from(percent) / 100.0,
        },
    )
    .await;
}

#[then(regex = r"^at least (\d+) messages? of ([a-z-]+) (?:is|are) parked$")]
async fn parked(world: &mut DrillWorld, at_least: u64, topic: String) {
    let expectation = Expectation::ParkedMessages {
        topic,
        at_least,
        at_most: None,
    };
    expect(world, expectation).await;
}

#[then(regex = r"^at most (\d+) messages? of ([a-z-]+) (?:is|are) parked$")]
async fn at_most_parked(world: &mut DrillWorld, at_most: u64, topic: String) {
    let expectation = Expectation::ParkedMessages {
        topic,
        at_least: 0,
        at_most: Some(at_most),
    };
    expect(world, expectation).await;
}

#[then(regex = r#"^the fault "([^"]+)" was felt at most (\d+) times?$"#)]
async fn felt_at_most(world: &mut DrillWorld, fault: String, at_most: u64) {
    expect(world, Expectation::FaultFelt { fault, at_most }).await;
}

#[then(regex = r#"^nobody trusted the server while the fault "([^"]+)" was in force$"#)]
async fn nobody_trusted(world: &mut DrillWorld, fault: String) {
    expect(world, Expectation::NobodyTrusted { fault }).await;
}

#[then(regex = r"^at most (\d+) percent of the attempts are left without an answer$")]
async fn unanswered_share(world: &mut DrillWorld, percent: u32) {
    expect(
        world,
        Expectation::UnansweredShare {
            at_most: f64::from(percent) / 100.0,
        },
    )
    .await;
}

#[then(regex = r#"^at least (\d+) attempts? (?:is|are) refused with "([^"]+)"$"#)]
async fn refused(world: &mut DrillWorld, at_least: u64, reason: String) {
    let expectation = Expectation::Refusals {
        reason,
        at_least,
        at_most: None,
    };
    expect(world, expectation).await;
}

#[then(regex = r#"^at most (\d+) attempts? (?:is|are) refused with "([^"]+)"$"#)]
async fn at_most_refused(world: &mut DrillWorld, at_most: u64, reason: String) {
    let expectation = Expectation::Refusals {
        reason,
        at_least: 0,
        at_most: Some(at_most),
    };
    expect(world, expectation).await;
}

async fn expect(world: &mut DrillWorld, expectation: Expectation) {
    world
        .phase(async |drill| {
            drill.expect(expectation);
            Ok(())
        })
        .await;
}
