//! What a run leaves for people and machines: the page, and the schema of the verdicts.

use std::path::{Path, PathBuf};

use firedrill::report::{
    html,
    verdicts::{
        CheckEntry, DrillEntry, FeltEntry, FindingEntry, OrdersEntry, SCHEMA, SecondsEntry,
        Verdicts,
    },
};
use firedrill_oracle::record::{DrillHeader, Operation, Outcome, Record};

fn drill(verdict: &str) -> DrillEntry {
    DrillEntry {
        feature: "features/06-payment-provider.feature".into(),
        line: 8,
        scenario: "The answer is <lost>".into(),
        failures: vec!["6.5".into()],
        without: Vec::new(),
        must_find: None,
        seed: 7,
        folder: "drills/0001-the-answer".into(),
        verdict: verdict.into(),
        felt: vec![FeltEntry {
            fault: "provider-charged-answer-lost".into(),
            witness: "charges without an answer".into(),
            count: 12,
            at_least: 10,
        }],
        findings: Vec::new(),
        reasons: Vec::new(),
        checks: vec![CheckEntry {
            name: "every-order-final".into(),
            result: "holds".into(),
            checked: 40,
        }],
        orders: OrdersEntry {
            attempted: 40,
            accepted: 40,
            paid: 40,
            refunded: 0,
        },
        seconds: SecondsEntry {
            began: 0.0,
            prepare: 0.3,
            load: 2.0,
            settle: 0.5,
            observe: 0.1,
            judge: 0.0,
            clean_up: 0.1,
        },
        replay: "cargo drill replay x".into(),
    }
}

fn charged_twice() -> FindingEntry {
    FindingEntry {
        invariant: "no-duplicate-charge".into(),
        sentence: "1 of 40 charged purchases was charged more than once".into(),
        worst: None,
        count: 1,
        subjects: vec!["order 01".into()],
        story: vec!["customer \"a\" orders 1 x <p-0001>".into()],
    }
}

fn run(drills: Vec<DrillEntry>) -> Verdicts {
    Verdicts {
        schema: SCHEMA,
        testbed: "local".into(),
        seed: 7,
        exit_code: 0,
        harness_errors: Vec::new(),
        drills,
    }
}

/// The page of a run whose first drill has this journal.
fn page(verdicts: &Verdicts, journal: Option<&[Record]>) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("drills/0001-the-answer");
    std::fs::create_dir_all(&own).expect("a drill's folder");
    if let Some(records) = journal {
        let lines: Vec<String> = records
            .iter()
            .map(|record| serde_json::to_string(record).expect("a line"))
            .collect();
        std::fs::write(own.join("journal.jsonl"), lines.join("\n") + "\n").expect("a journal");
    }
    let path = folder.path().join(html::FILE);
    let shown = html::ShownRun {
        folder: folder.path(),
        verdicts,
    };
    html::write(&path, &[shown]).expect("the page is written");
    std::fs::read_to_string(path).expect("the page is there")
}

fn journal() -> Vec<Record> {
    vec![
        Record::Drill(DrillHeader {
            schema: firedrill_oracle::record::JOURNAL_SCHEMA,
            feature: "f".into(),
            line: 1,
            scenario: "s".into(),
            failures: Vec::new(),
            seed: 7,
            testbed: "local".into(),
            without: Vec::new(),
        }),
        Record::Operation(Operation {
            reference: "r-1".into(),
            attempt: 1,
            customer: "c".into(),
            idempotency_key: None,
            forged: None,
            started_us: 10,
            ended_us: 1_000_000,
            lines: Vec::new(),
            amount_minor: 1,
            outcome: Outcome::Done {
                order_id: "o".into(),
            },
        }),
    ]
}

#[test]
fn a_passed_run_says_so_and_what_was_checked() {
    let text = page(&run(vec![drill("PASSED")]), Some(&journal()));
    assert!(text.contains("1 of 1 drill as it must be"), "{text}");
    assert!(text.contains("every-order-final"), "{text}");
    assert!(text.contains("12 charges without an answer"), "{text}");
    assert!(text.contains("1 attempts accepted"), "{text}");
    assert!(
        text.contains("href=\"drills/0001-the-answer/journal.jsonl\""),
        "{text}"
    );
}

#[test]
fn a_finding_stands_open_with_its_sentence_story_and_replay() {
    let mut violated = drill("VIOLATED");
    violated.findings.push(charged_twice());
    let text = page(&run(vec![drill("PASSED"), violated]), Some(&journal()));
    assert!(text.contains("1 of 2 drills needs a look"), "{text}");
    assert!(text.contains("1 of 40 charged purchases was charged more than once"));
    assert!(text.contains("cargo drill replay x"));
    assert_eq!(text.matches("<details open>").count(), 1, "{text}");
}

#[test]
fn what_was_written_by_others_cannot_become_markup() {
    let mut violated = drill("VIOLATED");
    violated.findings.push(charged_twice());
    let text = page(&run(vec![violated]), None);
    assert!(
        !text.contains("<lost>") && !text.contains("<p-0001>"),
        "{text}"
    );
    assert!(text.contains("The answer is &#60;lost&#62;"), "{text}");
}

#[test]
fn the_page_needs_nothing_else() {
    let text = page(&run(vec![drill("PASSED")]), Some(&journal()));
    for outside in ["<script", "http://", "https://", "@import", "src="] {
        assert!(!text.contains(outside), "{outside} in {text}");
    }
}

#[test]
fn a_missing_journal_is_said_not_hidden() {
    let text = page(&run(vec![drill("PASSED")]), None);
    assert!(text.contains("the journal cannot be read"), "{text}");
}

#[test]
fn a_proof_that_found_nothing_needs_a_look() {
    let mut blind = drill("PASSED");
    blind.without = vec!["payment.idempotency-key".into()];
    blind.must_find = Some("no-duplicate-charge".into());
    let mut seeing = drill("VIOLATED");
    seeing.must_find = Some("no-duplicate-charge".into());
    seeing.findings.push(charged_twice());
    let text = page(&run(vec![blind, seeing]), Some(&journal()));
    assert!(text.contains("1 of 2 drills needs a look"), "{text}");
    assert!(
        text.contains("NOT FOUND") && text.contains(">found<"),
        "{text}"
    );
    assert!(
        text.contains("no-duplicate-charge had to appear, and did not"),
        "{text}"
    );
}

#[test]
fn verdicts_are_read_back_as_they_were_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut violated = drill("VIOLATED");
    violated.findings.push(charged_twice());
    let written = run(vec![violated]);
    written
        .write(&folder.path().join(firedrill::report::verdicts::FILE))
        .expect("written");
    assert_eq!(Verdicts::read(folder.path()).expect("read"), written);
}

#[test]
fn the_schema_of_the_verdicts_is_fresh() {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/verdicts.schema.json");
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(Verdicts)).expect("a schema");
    let fresh = schema + "\n";
    if std::env::var_os("FIREDRILL_WRITE").is_some() {
        std::fs::write(&path, &fresh).expect("the schema can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == fresh,
        "harness/schemas/verdicts.schema.json is not fresh: run the tests once with FIREDRILL_WRITE=1"
    );
}
