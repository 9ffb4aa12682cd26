//! Steps in which something happens.

use std::time::Duration;

use cucumber::when;

use super::world::DrillWorld;
use crate::workload::Habits;

#[when(regex = r#"^the fault "([^"]+)" is injected$"#)]
async fn inject(world: &mut DrillWorld, fault: String) {
    world
        .phase(async |drill| drill.inject(&fault, None).await)
        .await;
}

#[when(regex = r#"^the fault "([^"]+)" is injected until it was felt (\d+) times?$"#)]
async fn inject_until_felt(world: &mut DrillWorld, fault: String, times: u64) {
    world
        .phase(async |drill| {
            drill.inject(&fault, Some(times)).await?;
            drill.wait_until_felt(times).await
        })
        .await;
}

#[when(regex = r#"^the fault "([^"]+)" is injected for (\d+) seconds?$"#)]
async fn inject_for(world: &mut DrillWorld, fault: String, seconds: u64) {
    world
        .phase(async |drill| {
            drill.inject(&fault, None).await?;
            drill.go_on_for(Duration::from_secs(seconds)).await?;
            drill.heal().await
        })
        .await;
}

#[when(regex = r"^the fault is felt (\d+) times?$")]
async fn felt(world: &mut DrillWorld, times: u64) {
    world
        .phase(async |drill| drill.wait_until_felt(times).await)
        .await;
}

#[when(regex = r"^(?:the fault heals|every fault heals)$")]
async fn heal(world: &mut DrillWorld) {
    world.phase(async |drill| drill.heal().await).await;
}

#[when(regex = r"^customers have placed (\d+) orders?$")]
async fn have_placed(world: &mut DrillWorld, count: u64) {
    world
        .phase(async |drill| drill.wait_for_attempts(count).await)
        .await;
}

#[when(regex = r"^customers have placed (\d+) more orders?$")]
async fn have_placed_more(world: &mut DrillWorld, count: u64) {
    world
        .phase(async |drill| drill.wait_for_more_attempts(count).await)
        .await;
}

#[when(regex = r"^(\d+) customers order (\d+) units? of the same product at the same moment$")]
async fn rush(world: &mut DrillWorld, customers: u32, quantity: i64) {
    world
        .phase(async |drill| {
            drill
                .customers_rush(customers, quantity, Habits::default())
                .await
        })
        .await;
}

#[when(
    regex = r"^(\d+) customers order 1 unit each of the same (\d+) products at the same moment, every other one in the opposite order$"
)]
async fn crossing_rush(world: &mut DrillWorld, customers: u32, products: usize) {
    world
        .phase(async |drill| {
            drill
                .customers_rush_crosswise(customers, products, Habits::default())
                .await
        })
        .await;
}

#[when(regex = r"^all prices rise by (\d+) percent$")]
async fn prices_rise(world: &mut DrillWorld, percent: u32) {
    world
        .phase(async |drill| drill.prices_rise(percent).await)
        .await;
}

#[when(regex = r"^the shopper buys (\d+) units? of product (\d+)$")]
async fn shopper_buys(world: &mut DrillWorld, units: i64, place: usize) {
    world
        .phase(async |drill| drill.shopper_buys(units, place).await)
        .await;
}

#[when(regex = r"^the shopper presses pay again$")]
async fn shopper_pays_again(world: &mut DrillWorld) {
    world
        .phase(async |drill| drill.shopper_pays_again().await)
        .await;
}

#[when(regex = r"^the shopper sees that the order is ([a-z_]+)$")]
async fn shopper_sees(world: &mut DrillWorld, state: String) {
    world
        .phase(async |drill| drill.shopper_sees(&state).await)
        .await;
}

#[when(regex = r#"^the shopper reads "([^"]+)"$"#)]
async fn shopper_reads(world: &mut DrillWorld, words: String) {
    world
        .phase(async |drill| drill.shopper_reads(&words).await)
        .await;
}

#[when(regex = r"^the stock is shown$")]
async fn stock_is_shown(world: &mut DrillWorld) {
    world.phase(async |drill| drill.show_stock().await).await;
}

#[when(regex = r"^(\d+) seconds? pass(?:es)?$")]
async fn time_passes(world: &mut DrillWorld, seconds: u64) {
    world
        .phase(async |drill| drill.go_on_for(Duration::from_secs(seconds)).await)
        .await;
}

#[when(regex = r"^the customers stop$")]
async fn customers_stop(world: &mut DrillWorld) {
    world
        .phase(async |drill| {
            drill.customers_leave().await;
            Ok(())
        })
        .await;
}

#[when(regex = r"^the pipeline settles within (\d+) seconds?$")]
async fn settle(world: &mut DrillWorld, seconds: u64) {
    world
        .phase(async |drill| drill.settle(Duration::from_secs(seconds)).await)
        .await;
}
