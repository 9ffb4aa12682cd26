//! Fault profiles: what the checked-in ones mean, and what each mistake is answered with.

use std::path::{Path, PathBuf};

use firedrill::{
    diagnostic::Source,
    fault::{Kind, Witness},
    profile::{self, Profiles},
    topology::Topology,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The real topology, without the folders of migrations, which profiles do not care about.
fn topology() -> Topology {
    let folder = root().join("system-under-test");
    let path = folder.join("topology.toml");
    let text = std::fs::read_to_string(&path).expect("the topology can be read");
    let mut parts = text.split(", migrations = \"");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.extend(part.split_once('"').map(|(_, rest)| rest));
    }
    Topology::parse(Source::new(&path, text), folder).expect("the topology is right")
}

fn checked_in() -> Profiles {
    Profiles::load(&root().join("fault-profiles"), &topology())
        .unwrap_or_else(|found| panic!("the profiles are wrong:\n{found}"))
}

const GOOD: &str = r#"
catalogue = "6.5"
summary = "The answer is lost."
link = "payment-service -> payment-provider"
kind = "connection_cut"
direction = "answers"
felt = { by = "answers lost after the request went through", at_least = 2 }
"#;

/// What is said about a folder with these files.
fn complaints(files: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    match Profiles::load(folder.path(), &topology()) {
        Ok(_) => String::new(),
        Err(found) => found.to_string(),
    }
}

/// What is said about the good file with one piece of it written differently.
fn complaint(piece: &str, instead: &str) -> String {
    assert!(GOOD.contains(piece), "the file has no `{piece}`");
    let said = complaints(&[("lost.toml", &GOOD.replacen(piece, instead, 1))]);
    assert!(!said.is_empty(), "the mistake `{instead}` must be seen");
    said
}

#[test]
fn the_checked_in_profiles_are_right_and_their_readme_is_fresh() {
    let profiles = checked_in();
    assert!(profiles.len() > 20, "{}", profiles.len());
    let path = root().join("fault-profiles/README.md");
    let fresh = profile::readme(&profiles);
    if std::env::var_os("FIREDRILL_WRITE").is_some() {
        std::fs::write(&path, &fresh).expect("the README can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == fresh,
        "fault-profiles/README.md is not fresh: run the tests once with FIREDRILL_WRITE=1"
    );
}

#[test]
fn the_schema_for_editors_is_fresh() {
    let path = root().join("harness/schemas/fault-profile.schema.json");
    let fresh = profile::schema();
    if std::env::var_os("FIREDRILL_WRITE").is_some() {
        std::fs::write(&path, &fresh).expect("the schema can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == fresh,
        "harness/schemas/fault-profile.schema.json is not fresh: run the tests once with FIREDRILL_WRITE=1"
    );
}

#[test]
fn every_kind_and_every_first_failure_has_a_profile() {
    let profiles = checked_in();
    for kind in Kind::all() {
        let used = profiles
            .iter()
            .flat_map(|profile| profile.timeline())
            .any(|step| step.fault.kind.name() == kind.name);
        assert!(used, "no profile shows the kind {}", kind.name);
        let named = kind.example.split('"').nth(1).expect("a profile in quotes");
        let shown = profiles.get(named).map(|profile| profile.timeline());
        let shown =
            shown.unwrap_or_else(|| panic!("no profile {named}, which {} shows", kind.name));
        assert_eq!(shown[0].fault.kind.name(), kind.name, "{named}");
    }
    for row in ["2.4", "4.1", "5.1", "6.5", "9.4", "12.1"] {
        let has = profiles
            .iter()
            .any(|profile| profile.catalogue.iter().any(|found| found == row));
        assert!(has, "no profile for {row}");
    }
}

#[test]
fn a_profile_is_read_as_it_is_written() {
    let profiles = checked_in();
    let lost = profiles
        .get("provider-charged-answer-lost")
        .expect("the profile");
    assert_eq!(lost.catalogue, ["6.5"]);
    assert_eq!(lost.target(), "payment-service -> payment-provider");
    let step = &lost.timeline()[0];
    assert_eq!(step.fault.felt.by, Witness::ChargesWithoutAnswer);
    let value = serde_json::to_value(&step.fault).expect("a fault is a value");
    assert_eq!(value["kind"], "connection_cut");
    assert_eq!(value["direction"], "answers");
    assert_eq!(
        profiles.nearest("every-event-twise"),
        Some("every-event-twice")
    );
    let outage = profiles.get("provider-outage").expect("the profile");
    let starts: Vec<u128> = outage
        .timeline()
        .iter()
        .map(|step| step.at.as_millis())
        .collect();
    assert_eq!(starts, [0, 1000, 2500]);
}

#[test]
fn unknown_names_are_told_with_place_and_nearest_name() {
    let said = complaint("kind = \"connection_cut\"", "kind = \"conection_cut\"");
    assert!(said.contains("lost.toml:5:8"), "{said}");
    assert!(said.contains("connection_cut"), "{said}");
    let said = complaint("-> payment-provider", "-> payment-provder");
    assert!(said.contains("lost.toml:4:8"), "{said}");
    assert!(
        said.contains("payment-service -> payment-provider"),
        "{said}"
    );
    let said = complaint("direction", "directoin");
    assert!(said.contains("lost.toml:6:1"), "{said}");
    assert!(said.contains("`direction`"), "{said}");
    let said = complaint("request went through", "request went thru");
    assert!(said.contains("lost.toml:7"), "{said}");
    assert!(
        said.contains("answers lost after the request went through"),
        "{said}"
    );
}

#[test]
fn a_unit_that_is_not_known_is_an_unknown_key() {
    let said = complaints(&[(
        "slow.toml",
        r#"
catalogue = "6.9"
summary = "Slow."
link = "payment-service -> payment-provider"
kind = "latency"
delay_s = 1
felt = { by = "data delivered late" }
"#,
    )]);
    assert!(said.contains("slow.toml:6:1"), "{said}");
    assert!(said.contains("delay_ms"), "{said}");
}

#[test]
fn a_witness_must_be_one_of_the_kind() {
    let said = complaint(
        "answers lost after the request went through",
        "processes killed",
    );
    assert!(said.contains("cannot witness"), "{said}");
    assert!(said.contains("charges without an answer"), "{said}");
}

#[test]
fn what_types_allow_but_means_nothing_is_told() {
    let said = complaint("direction = \"answers\"", "direction = \"both\"");
    assert!(said.contains("lost.toml:6:13"), "{said}");
    let said = complaint("direction = \"answers\"", "share = 1.5");
    assert!(said.contains("share"), "{said}");
    let said = complaint("\"6.5\"", "\"six\"");
    assert!(said.contains("lost.toml:2"), "{said}");
    let said = complaint("at_least = 2", "at_least = 0");
    assert!(said.contains("at_least"), "{said}");
}

#[test]
fn all_mistakes_of_all_files_are_told_at_once() {
    let said = complaints(&[
        ("Bad Name.toml", GOOD),
        ("broken.toml", "catalogue = \n"),
        (
            "unknown.toml",
            &GOOD.replace("payment-service ->", "nobody ->"),
        ),
        ("explore.toml", "this is = no profile"),
    ]);
    for file in ["Bad Name.toml", "broken.toml", "unknown.toml"] {
        assert!(said.contains(file), "{file} is missing in:\n{said}");
    }
    assert!(!said.contains("explore.toml"), "{said}");
}

#[test]
fn instances_components_and_topics_are_those_of_the_topology() {
    let killed = |target: &str| {
        complaints(&[(
            "killed.toml",
            &format!(
                "catalogue = \"2.4\"\nsummary = \"Dead.\"\n{target}\nkind = \"process_killed\"\n\
                 felt = {{ by = \"processes killed\" }}\n"
            ),
        )])
    };
    assert_eq!(killed("instance = \"order-service-2\""), "");
    assert_eq!(killed("component = \"order-service\""), "");
    let said = killed("instance = \"order-service-3\"");
    assert!(
        said.contains("killed.toml:3") && said.contains("order-service-"),
        "{said}"
    );
    let said = killed("component = \"order-servce\"");
    assert!(said.contains("`order-service`"), "{said}");
    let said = killed("");
    assert!(said.contains("which processes"), "{said}");
    let said = complaints(&[(
        "twice.toml",
        "catalogue = \"9.4\"\nsummary = \"Twice.\"\ntopics = [\"order-event\"]\n\
         kind = \"messages_duplicated\"\nfelt = { by = \"messages twice in the topic\" }\n",
    )]);
    assert!(said.contains("twice.toml:3:12"), "{said}");
    assert!(said.contains("`order-events`"), "{said}");
}

#[test]
fn a_sequence_names_faults_that_exist() {
    let sequence = |profile: &str| {
        format!(
            "catalogue = \"6.1\"\nsummary = \"One, two.\"\n[[steps]]\nat_ms = 0\nprofile = \"{profile}\"\n"
        )
    };
    assert_eq!(
        complaints(&[("lost.toml", GOOD), ("twice.toml", &sequence("lost"))]),
        ""
    );
    let said = complaints(&[("lost.toml", GOOD), ("twice.toml", &sequence("lots"))]);
    assert!(said.contains("twice.toml:5"), "{said}");
    assert!(said.contains("`lost`"), "{said}");
    let said = complaints(&[("twice.toml", &sequence("twice"))]);
    assert!(said.contains("sequence itself"), "{said}");
}

#[test]
fn fail_points_are_those_of_the_component() {
    let crash = |component: &str, point: &str| {
        complaints(&[(
            "crash.toml",
            &format!(
                "catalogue = \"5.1\"\nsummary = \"Dead.\"\ncomponent = \"{component}\"\npoint = \"{point}\"\n\
                 kind = \"fail_point\"\naction = \"kill\"\nfelt = {{ by = \"fail-point acted\" }}\n"
            ),
        )])
    };
    assert_eq!(crash("payment-service", "payment.before-work"), "");
    let said = crash("payment-service", "payment.before-wrok");
    assert!(said.contains("crash.toml:4:10"), "{said}");
    assert!(said.contains("`payment.before-work`"), "{said}");
    let said = crash("order-service", "payment.before-work");
    assert!(said.contains("`order-service` has no fail-point"), "{said}");
}
