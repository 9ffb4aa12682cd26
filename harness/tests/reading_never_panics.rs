//! Whatever stands in a file, reading it ends with a value or with complaints whose places exist.

use std::path::PathBuf;

use firedrill::{
    diagnostic::{Diagnostics, Source},
    feature::{self, Vocabulary},
    system::Observations,
    topology::Topology,
};
use proptest::prelude::*;

const FEATURE: &str = "@F6.5 @slow\nFeature: a\n  words\n\n  Background:\n    Given b\n\n  # c\n  Rule: r\n  @quick\n  \
    Scenario Outline: d <e>\n    When <e> f\n    \"\"\"\n    k\n    \"\"\"\n      | <e> | h |\n      | i   | j |\n    \
    And l\n\n    Examples:\n      | e |\n\n      | 1 |\n  Scenario: m\n    * n\n    Then o\n";

const TOPOLOGY: &str = r#"
[customers]
entry = "shop/http"
[component.kafka]
provided = "kafka"
topics = { sales = { partitions = 3 } }
[component.shop]
command = ["shop", "--serve"]
replicas = 2
ports = { http = "http" }
ready = "/ready"
database = { name = "shop" }
settings = { LISTEN = "{listen:http}", QUEUE = "{link:kafka}{{}}", DB = "{database}", LIMIT = 7 }
[defence."shop.limit"]
component = "shop"
protects = "x"
"#;

const OBSERVATIONS: &str = r#"
[[observe]]
fact = "stock"
component = "shop"
sql = "select * from stock"
[[observe]]
fact = "message"
topics = ["sales"]
fields = { message_id = "/id", order_id = "/order", kind = "/kind" }
[[settled]]
name = "messages not read"
moving = true
group = "shop"
topics = ["sales"]
"#;

/// Pieces that a slip of the hand puts into files.
const PIECES: [&str; 24] = [
    "",
    "\n",
    "\r\n",
    "\t",
    "@",
    "|",
    "\"\"\"",
    "\"",
    "{",
    "}",
    "<",
    ">",
    "\\",
    ":",
    "#",
    "=",
    "[",
    "[[",
    "é",
    "\u{1F525}",
    "Given ",
    "Scenario:",
    "Examples:",
    "{link:",
];

/// A text with some of its pieces cut out, doubled or replaced.
fn damaged(text: &'static str) -> impl Strategy<Value = String> {
    let slips = prop::collection::vec(
        (any::<prop::sample::Index>(), 0..12_usize, 0..PIECES.len()),
        1..6,
    );
    slips.prop_map(move |slips| {
        let mut characters: Vec<char> = text.chars().collect();
        for (place, cut, piece) in slips {
            let start = place.index(characters.len() + 1);
            let end = (start + cut).min(characters.len());
            characters.splice(start..end, PIECES[piece].chars());
        }
        characters.into_iter().collect()
    })
}

fn topology(text: &str) -> Result<Topology, Diagnostics> {
    Topology::parse(Source::new("x", text), PathBuf::from("."))
}

/// Every complaint must have a place that exists.
fn places_exist(text: &str, found: &Diagnostics) -> Result<(), TestCaseError> {
    prop_assert!(!found.0.is_empty());
    let lines = text.split('\n').count();
    for diagnostic in &found.0 {
        prop_assert!(diagnostic.line <= lines, "{diagnostic}");
        if let Some(span) = &diagnostic.span {
            prop_assert!(text.get(span.clone()).is_some(), "{diagnostic}: {span:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn features(text in prop_oneof![damaged(FEATURE), any::<String>()]) {
        let known = topology(TOPOLOGY).unwrap();
        let vocabulary = Vocabulary::new(&known, ["no-duplicate-charge"]);
        if let Err(found) = feature::parse(&Source::new("x", &text), &vocabulary) {
            places_exist(&text, &found)?;
            found.render(false);
        }
    }

    #[test]
    fn topologies(text in prop_oneof![damaged(TOPOLOGY), any::<String>()]) {
        if let Err(found) = topology(&text) {
            places_exist(&text, &found)?;
        }
    }

    #[test]
    fn observations(text in prop_oneof![damaged(OBSERVATIONS), any::<String>()]) {
        let known = topology(TOPOLOGY).unwrap();
        if let Err(found) = Observations::parse(Source::new("x", &text), &known) {
            places_exist(&text, &found)?;
        }
    }
}

#[test]
fn the_undamaged_files_are_read() {
    let known = topology(TOPOLOGY).unwrap();
    let vocabulary = Vocabulary::new(&known, []);
    let feature = FEATURE.replace("    * n\n", "");
    let read = feature::parse(&Source::new("x", &feature), &vocabulary);
    assert_eq!(
        read.unwrap_or_else(|found| panic!("{found}"))
            .scenarios
            .len(),
        2
    );
    let observations = Observations::parse(Source::new("x", OBSERVATIONS), &known);
    assert!(observations.is_ok());
}
