//! Both roles together: order events in, dashboards out.

use analytics_service::config::Config;
use contracts::OrderEventKind::{Fulfilled, Paid, Placed, Refunded};
use contracts::topic;
use kafka_broker::OffsetReset;
use serde_json::Value;
use service_kit::service::Service;
use sqlx::Row;
use time::macros::datetime;
use uuid::Uuid;

use crate::support::{World, borrowed, event, event_of};

async fn started(values: &[(String, String)]) -> (Service, Service) {
    let values = borrowed(values);
    let keeping = service_testing::start(
        analytics_service::NAME,
        &values,
        Config::read,
        analytics_service::start_keeping,
    );
    let batch = service_testing::start(
        "analytics-batch",
        &values,
        Config::read,
        analytics_service::start_batch,
    );
    let (keeping, batch) = tokio::join!(keeping, batch);
    service_testing::eventually("ready", async || {
        keeping.health.readiness().await.ready && batch.health.readiness().await.ready
    })
    .await;
    (keeping, batch)
}

fn with(values: Vec<(String, String)>, name: &str, value: &str) -> Vec<(String, String)> {
    let mut values = values;
    values.push((name.to_owned(), value.to_owned()));
    values
}

/// Waits until the dashboards hold everything that the topic holds.
async fn caught_up(world: &World) {
    service_testing::eventually("the dashboards hold everything", async || {
        world.broker.lag(analytics_service::DASHBOARDS_GROUP) == 0
            && world
                .broker
                .group(analytics_service::DASHBOARDS_GROUP)
                .is_some()
            && world.broker.lag(analytics_service::NAME) == 0
            && world
                .broker
                .offsets(topic::ORDER_EVENTS)
                .is_ok_and(|offsets| {
                    let end: i64 = offsets.iter().map(|one| one.end).sum();
                    end == world
                        .broker
                        .group_progress()
                        .iter()
                        .filter(|progress| progress.group == analytics_service::DASHBOARDS_GROUP)
                        .filter_map(|progress| progress.committed)
                        .sum::<i64>()
                })
    })
    .await;
}

/// Placed, paid, refunded and revenue by the beginning of the window, in minutes.
async fn rows(world: &World) -> Vec<(i64, [i64; 4])> {
    let sql = "select window_start_s, placed, paid, refunded, revenue_minor from dashboard_rows order by 1";
    let rows = sqlx::query(sql).fetch_all(&world.database.pool).await;
    let of = |row: &sqlx::postgres::PgRow| {
        (
            row.get::<i64, _>(0) / 60,
            [1, 2, 3, 4].map(|at| row.get(at)),
        )
    };
    rows.expect("rows").iter().map(of).collect()
}

const EARLY: time::OffsetDateTime = datetime!(2026-11-25 10:00:59.9 UTC);
const LATE: time::OffsetDateTime = datetime!(2026-11-25 10:01:00 UTC);

fn minute(at: time::OffsetDateTime) -> i64 {
    at.unix_timestamp() / 60
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_counted_in_the_window_in_which_they_happened() {
    let world = World::new().await;
    let _running = started(&world.values()).await;
    let order = Uuid::new_v4();
    // Out of order: the later window arrives first.
    world.append(&event_of(order, Paid, LATE, 250));
    world.append(&event_of(order, Placed, EARLY, 250));
    world.append(&event(Placed, EARLY, 999));
    world.append(&event_of(order, Refunded, LATE, 250));
    world.append(&event_of(order, Fulfilled, LATE, 250));
    caught_up(&world).await;
    assert_eq!(
        rows(&world).await,
        [
            (minute(EARLY), [2, 0, 0, 0]),
            (minute(LATE), [0, 1, 1, 250])
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_event_time_they_are_counted_when_they_arrive() {
    let world = World::new().await;
    let values = with(world.values(), "DEFENCES_OFF", "analytics.event-time");
    let _running = started(&values).await;
    world.append(&event(Paid, EARLY, 250));
    caught_up(&world).await;
    let rows = rows(&world).await;
    assert_eq!(rows.len(), 1);
    assert_ne!(rows[0].0, minute(EARLY));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_arrives_twice_counts_once_unless_nobody_looks() {
    for (off, paid) in [("", 1), ("analytics.dedup", 3)] {
        let world = World::new().await;
        let values = with(world.values(), "DEFENCES_OFF", off);
        let _running = started(&values).await;
        let event = event(Paid, EARLY, 250);
        for _ in 0..3 {
            world.append(&event);
            caught_up(&world).await;
        }
        assert_eq!(
            rows(&world).await,
            [(minute(EARLY), [0, paid, 0, paid * 250])],
            "without `{off}`"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_read_again_changes_nothing() {
    let world = World::new().await;
    let (keeping, batch) = started(&world.values()).await;
    for _ in 0..20 {
        world.append(&event(Paid, EARLY, 100));
    }
    caught_up(&world).await;
    service_testing::stop(&keeping).await;
    service_testing::stop(&batch).await;
    world
        .broker
        .reset_offsets(
            analytics_service::NAME,
            topic::ORDER_EVENTS,
            OffsetReset::Earliest,
        )
        .expect("reset");
    let _again = started(&world.values()).await;
    caught_up(&world).await;
    world.append(&event(Paid, EARLY, 100));
    caught_up(&world).await;
    assert_eq!(rows(&world).await, [(minute(EARLY), [0, 21, 0, 2_100])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_parked_and_the_rest_goes_on() {
    let world = World::new().await;
    let _running = started(&world.values()).await;
    let order = Uuid::from_u128(2);
    let good = event_of(order, Paid, EARLY, 100);
    let mut lacking = contracts::write(&good).expect("written");
    lacking["message_id"] = Uuid::new_v4().to_string().into();
    lacking
        .as_object_mut()
        .expect("an object")
        .shift_remove("amount_minor");
    let mut later = contracts::write(&good).expect("written");
    later["version"] = 2.into();
    world.append_raw(order, b"\xffnoise");
    world.append_raw(order, lacking.to_string().as_bytes());
    world.append_raw(order, later.to_string().as_bytes());
    world.append(&good);
    caught_up(&world).await;
    assert_eq!(rows(&world).await, [(minute(EARLY), [0, 1, 0, 100])]);
    let dead = world
        .broker
        .records("order-events.dead", 0, 0)
        .expect("read");
    let others = world
        .broker
        .records("order-events.dead", 1, 0)
        .expect("read");
    assert_eq!(dead.len() + others.len(), 3);
    assert_eq!(
        world.count("select count(*) from builds where not complete and build = (select max(build) from builds)").await,
        0,
        "a parked message is not missing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboards_are_served_with_what_is_known_about_them() {
    let world = World::new().await;
    let (keeping, _batch) = started(&world.values()).await;
    world.append(&event(Paid, EARLY, 12_345));
    caught_up(&world).await;
    let address = keeping.http_address().expect("it listens");
    let ask = async |path: &str| {
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client");
        let answer = client.get(format!("http://{address}{path}")).send().await;
        answer.expect("an answer").text().await.expect("its text")
    };
    let answer: Value = serde_json::from_str(&ask("/dashboards").await).expect("JSON");
    assert_eq!(answer["freshness"]["complete"], true, "{answer}");
    assert_eq!(answer["freshness"]["behind"], 0, "{answer}");
    assert_eq!(
        answer["freshness"]["newest_event_at"],
        "2026-11-25T10:00:59.9Z"
    );
    assert_eq!(answer["windows"][0]["revenue_minor"], 12_345);
    assert!(ask("/").await.contains("123.45 EUR"));
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboards_that_lack_events_say_so() {
    let world = World::new().await;
    let values = world.values();
    // Nobody keeps events: the batch finds a topic that is ahead of the lake.
    let batch = service_testing::start(
        "analytics-batch",
        &borrowed(&values),
        Config::read,
        analytics_service::start_batch,
    )
    .await;
    world.append(&event_of(Uuid::from_u128(3), Paid, EARLY, 1));
    service_testing::eventually("the dashboards are incomplete", async || {
        world
            .count("select count(*) from builds where not complete and reason like 'partition 1 lacks 1 %'")
            .await
            > 0
    })
    .await;
    assert!(world.count("select max(behind) from claims").await == 1);
    service_testing::stop(&batch).await;
}
