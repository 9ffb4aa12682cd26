//! The page, with the whole pipeline behind it.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use firedrill::{
    testbed::{
        Pipeline, Testbed,
        local::{LocalOptions, LocalTestbed},
    },
    topology::Topology,
    workload::browser::page::Page,
};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::{has_browser, pictures, request};

/// WebDriver's code points for keys without a sign.
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
/// Presses of Tab after which what is looked for should have had the focus.
const MOST_TABS: usize = 60;
/// A phone's width and a desktop's, in CSS pixels.
const WIDTHS: [u32; 2] = [390, 1280];
/// In CSS pixels too.
const HEIGHT: u32 = 900;

async fn put_products(pipeline: &dyn Pipeline) {
    for (component, goods) in [
        (
            "order-service",
            "insert into products select 'p-' || lpad(n::text, 4, '0'), 100 + n * 331 % 9900, 'EUR' \
             from generate_series(1, 8) as n",
        ),
        (
            "inventory-service",
            "insert into stock select 'p-' || lpad(n::text, 4, '0'), n * 7 % 20, n * 7 % 20 \
             from generate_series(1, 7) as n union all values ('p-0008', 0, 0)",
        ),
    ] {
        let url = pipeline.database_url(component).expect("it has a database");
        let mut database = PgConnection::connect(&url).await.expect("connected");
        sqlx::query(goods)
            .execute(&mut database)
            .await
            .expect("inserted");
        database.close().await.expect("closed");
    }
}

/// The value of an expression in the page.
async fn ask(page: &Page, expression: &str) -> Value {
    let script = format!("return {expression}");
    page.window.evaluate(&script).await.expect("a value")
}

/// The id, or else the text, of what has the focus.
async fn focused(page: &Page) -> String {
    let focused = "document.activeElement.id || document.activeElement.innerText";
    ask(page, focused)
        .await
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Tabs until something has the focus, noting everything on the way.
async fn tab_to(page: &Page, wanted: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..MOST_TABS {
        page.press(TAB).await.expect("pressed");
        let focused = focused(page).await;
        let outline = ask(
            page,
            "getComputedStyle(document.activeElement).outlineStyle",
        )
        .await;
        assert_eq!(outline, "solid", "the focus on {focused} cannot be seen");
        seen.push(focused.clone());
        if focused == wanted {
            return seen;
        }
    }
    panic!("{wanted} never had the focus: {seen:?}");
}

/// Nothing sticks out sideways, everything that can be pressed is large enough for a thumb, every field has a label.
async fn fits(page: &Page, what: &str) {
    let sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(ask(page, sideways).await, 0, "{what}");
    let small = "[...document.querySelectorAll('button, input')].filter(e => e.offsetParent) \
                 .filter(e => e.getBoundingClientRect().height < 40).map(e => e.outerHTML)";
    assert_eq!(ask(page, small).await, json!([]), "{what}");
    let unnamed = "[...document.querySelectorAll('input')] \
                   .filter(e => !e.labels.length && !e.getAttribute('aria-label')).map(e => e.outerHTML)";
    assert_eq!(ask(page, unnamed).await, json!([]), "{what}");
}

async fn look(page: &Page, folder: &Path, name: &str) {
    let width = ask(page, "innerWidth").await;
    for colours in ["light", "dark"] {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": colours }] });
        let command = "Emulation.setEmulatedMedia";
        page.window.command(command, media).await.expect("colours");
        fits(page, &format!("{name} at {width}")).await;
        let path = folder.join(format!("{name}-{width}-{colours}.png"));
        page.picture(&path).await.expect("a picture");
    }
}

async fn buy_with_the_keyboard(page: &Page, folder: &Path) {
    tab_to(page, "customer").await;
    page.press("customer-001").await.expect("typed");
    look(page, folder, "sign-in").await;
    if ask(page, "!document.getElementById('password-row').hidden").await == true {
        tab_to(page, "password").await;
        page.press("correct-horse").await.expect("typed");
    }
    page.press(ENTER).await.expect("signed in");
    let signed_in = "#signed-in:not([hidden])";
    page.wait_for(signed_in, "that the shopper is signed in")
        .await
        .expect("signed in");
    assert_eq!(focused(page).await, "products-heading");

    tab_to(page, "reload").await;
    tab_to(page, "Add to basket").await;
    page.press(ENTER).await.expect("added");
    page.press(" ").await.expect("added again");
    let units = ask(page, "document.querySelector('#basket input').value").await;
    assert_eq!(units, "2");
    look(page, folder, "basket").await;
    tab_to(page, "pay").await;
    page.press(ENTER).await.expect("paid");
    let accepted = "#pay-note[data-outcome=accepted]";
    page.wait_for(accepted, "an accepted order")
        .await
        .expect("accepted");
    assert_eq!(focused(page).await, "order-heading");
    page.wait_for_state("fulfilled")
        .await
        .expect("an order on its way");
    let words = ask(page, "document.getElementById('order-status').innerText").await;
    assert_eq!(words, "Thank you! Your order is on its way.");
    look(page, folder, "ordered").await;
}

/// The version that the page said it had shown each time that it asked about the order; 0 where it said none.
async fn versions_told(page: &Page) -> Vec<u64> {
    let told = "performance.getEntriesByType('resource').filter(e => e.name.includes('/orders/')) \
                .map(e => Number(new URL(e.name).searchParams.get('seen')))";
    let told = ask(page, told).await;
    let told = told.as_array().expect("a list");
    told.iter()
        .map(|one| one.as_u64().expect("a number"))
        .collect()
}

/// Everything that the page says of the order from now on is kept in the page.
async fn record_words(page: &Page) {
    let record = "window.said = []; \
        const status = document.getElementById('order-status'); \
        const hear = () => said.push(status.textContent); \
        new MutationObserver(hear).observe(status, { childList: true, characterData: true, subtree: true })";
    page.window.evaluate(record).await.expect("recording");
}

/// A whole purchase in a browser of its own, whose window has this width; the page says nothing twice meanwhile.
async fn shop_at(pipeline: &dyn Pipeline, width: u32, folder: &Path) {
    let name = format!("shopper-{width}");
    let browser = pipeline.open_browser(&name).await.expect("a browser");
    let url = pipeline.page_url().expect("a page");
    let page = Page::open(&browser, &url, width, HEIGHT)
        .await
        .expect("the shop");
    assert_eq!(ask(&page, "innerWidth").await, width);
    record_words(&page).await;
    buy_with_the_keyboard(&page, folder).await;

    let told = versions_told(&page).await;
    assert_eq!(told.first(), Some(&2), "that of the purchase's answer");
    assert!(told.is_sorted(), "{told:?}");
    let said = ask(&page, "said").await;
    let said: Vec<&str> = said
        .as_array()
        .expect("a list")
        .iter()
        .flat_map(Value::as_str)
        .collect();
    let distinct: BTreeSet<&str> = said.iter().copied().collect();
    assert_eq!(
        said.len(),
        distinct.len(),
        "something was said twice: {said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_with_the_keyboard_alone_at_any_width_and_in_any_colours() {
    let harness = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = harness.join("../system-under-test/topology.toml");
    let topology = Topology::load(&file).expect("it is right");
    let options = LocalOptions::new(Arc::new(topology)).expect("options");
    let testbed = LocalTestbed::start(options).await.expect("a testbed");
    if has_browser(&testbed) {
        let folder = tempfile::tempdir().expect("a folder");
        let pipeline = testbed
            .start(request(folder.path()))
            .await
            .expect("a pipeline");
        put_products(&*pipeline).await;
        for width in WIDTHS {
            shop_at(&*pipeline, width, &pictures(folder.path())).await;
        }
        pipeline.stop().await.expect("stopped");
        let mut left = std::fs::read_dir(folder.path()).expect("listed").flatten();
        assert!(
            left.all(|entry| entry.path().is_file()),
            "a profile is left"
        );
    }
    testbed.shut_down().await.expect("shut down");
}
