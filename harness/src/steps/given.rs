//! Steps that say what a scenario finds, and who comes.

use cucumber::given;

use super::world::DrillWorld;
use crate::workload::{Following, Habits, Pace};

#[given(regex = r"^the order pipeline is running$")]
async fn pipeline_is_running(world: &mut DrillWorld) {
    // The pipeline starts with the first step that needs it, so that the steps between can still arrange it.
    world.arrange(|_| ()).await;
}

#[given(regex = r"^(\d+) (?:instance|instances) of ([a-z][a-z0-9-]*)$")]
async fn instances(world: &mut DrillWorld, count: u32, component: String) {
    world
        .arrange(|arrangement| {
            arrangement.replicas.insert(component, count);
        })
        .await;
}

#[given(regex = r#"^the setting ([A-Z][A-Z0-9_]*) of ([a-z][a-z0-9-]*) is "([^"]*)"$"#)]
async fn setting(world: &mut DrillWorld, name: String, component: String, value: String) {
    world
        .arrange(|arrangement| {
            arrangement.settings.insert((component, name), value);
        })
        .await;
}

#[given(regex = r"^the defence ([a-z]+\.[a-z-]+) is off$")]
async fn defence_off(world: &mut DrillWorld, defence: String) {
    world
        .arrange(|arrangement| {
            arrangement.without.insert(defence);
        })
        .await;
}

#[given(regex = r"^(\d+) products? with (\d+) units? (?:each )?in stock$")]
async fn products(world: &mut DrillWorld, count: usize, units: i64) {
    world
        .arrange(|arrangement| arrangement.products = Some((count, units)))
        .await;
}

#[given(regex = r"^customers place (\d+) orders? per second$")]
async fn customers_place(world: &mut DrillWorld, rate: u32) {
    come(world, Pace::PerSecond(f64::from(rate)), Habits::default()).await;
}

#[given(regex = r"^customers without idempotency keys place (\d+) orders? per second$")]
async fn customers_without_keys(world: &mut DrillWorld, rate: u32) {
    let habits = Habits {
        with_key: false,
        ..Habits::default()
    };
    come(world, Pace::PerSecond(f64::from(rate)), habits).await;
}

#[given(regex = r"^customers with forged tokens place (\d+) orders? per second$")]
async fn forgers(world: &mut DrillWorld, rate: u32) {
    let habits = Habits {
        forged: true,
        ..Habits::default()
    };
    come(world, Pace::PerSecond(f64::from(rate)), habits).await;
}

#[given(regex = r"^customers who try up to (\d+) times place (\d+) orders? per second$")]
async fn persistent_customers(world: &mut DrillWorld, attempts: u32, rate: u32) {
    let habits = Habits {
        attempts,
        ..Habits::default()
    };
    come(world, Pace::PerSecond(f64::from(rate)), habits).await;
}

#[given(regex = r"^customers who change their mind place (\d+) orders? per second$")]
async fn wavering_customers(world: &mut DrillWorld, rate: u32) {
    let habits = Habits {
        cancels: true,
        ..Habits::default()
    };
    come(world, Pace::PerSecond(f64::from(rate)), habits).await;
}

#[given(regex = r"^customers who follow their orders place (\d+) orders? per second$")]
async fn following_customers(world: &mut DrillWorld, rate: u32) {
    let habits = Habits {
        follows: Some(Following::default()),
        ..Habits::default()
    };
    come(world, Pace::PerSecond(f64::from(rate)), habits).await;
}

#[given(
    regex = r"^customers who follow their orders and change their mind place (\d+) orders? per second$"
)]
async fn following_and_wavering_customers(world: &mut DrillWorld, rate: u32) {
    let habits = Habits {
        follows: Some(Following::default()),
        cancels: true,
        ..Habits::default()
    };
    come(world, Pace::PerSecond(f64::from(rate)), habits).await;
}

#[given(regex = r"^customers with notes of (\d+) characters place (\d+) orders? per second$")]
async fn wordy_customers(world: &mut DrillWorld, note_characters: usize, rate: u32) {
    let habits = Habits {
        note_characters,
        ..Habits::default()
    };
    come(world, Pace::PerSecond(f64::from(rate)), habits).await;
}

#[given(regex = r"^new customers place (\d+) orders? per second$")]
async fn newcomers(world: &mut DrillWorld, rate: u32) {
    let habits = Habits {
        new: true,
        ..Habits::default()
    };
    come(world, Pace::PerSecond(f64::from(rate)), habits).await;
}

#[given(regex = r"^a shopper has the shop open in a browser$")]
async fn shop_is_open(world: &mut DrillWorld) {
    world
        .phase(async |drill| drill.shopper_opens_the_shop().await)
        .await;
}

#[given(regex = r"^(\d+) customers order again and again$")]
async fn closed_loop(world: &mut DrillWorld, customers: u32) {
    come(world, Pace::Concurrent(customers), Habits::default()).await;
}

async fn come(world: &mut DrillWorld, pace: Pace, habits: Habits) {
    world
        .phase(async |drill| drill.customers_come(pace, habits).await)
        .await;
}
