//! Typed settings: what is read, what is refused, and what a program says can be set.

use std::time::Duration;

use service_kit::settings::Settings;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn good_settings_are_read_and_defaults_fill_the_rest() {
    let values = pairs(&[
        ("A", "127.0.0.1:1, 127.0.0.1:2"),
        ("T_MS", " 250 "),
        ("EMPTY", ""),
    ]);
    let (addresses, limit, number, text) = Settings::read(values, |settings| {
        (
            settings.required_endpoints("A", "others"),
            settings.duration_ms("T_MS", 9, "a wait"),
            settings.number("N", 3_u32, 1..=5, "how many"),
            settings.text("EMPTY", "default", "words"),
        )
    })
    .expect("no problem");
    assert_eq!(addresses.len(), 2);
    assert_eq!(limit, Duration::from_millis(250));
    assert_eq!(number, 3);
    assert_eq!(text, "default");
}

#[test]
fn all_problems_are_listed_at_once_and_secrets_are_not_repeated() {
    let values = pairs(&[
        ("LISTEN", "localhost"),
        ("N", "9"),
        ("S", "yes"),
        ("DATABASE_URL", "postgres//user:secret@host"),
    ]);
    let error = Settings::read(values, |settings| {
        settings.required_address("LISTEN", "where");
        settings.number("N", 3_u32, 1..=5, "how many");
        settings.switch("S", true, "whether");
        settings.required_database("DATABASE_URL", "the database");
        settings.required_text("INSTANCE", "the name of this instance");
    })
    .expect_err("five problems");
    assert_eq!(error.problems.len(), 5, "{error}");
    assert!(
        error
            .to_string()
            .contains("N: `9` is not a number from 1 to 5")
    );
    assert!(error.to_string().contains("INSTANCE: is missing"));
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn what_can_be_set_is_what_is_asked_for_each_once() {
    let known = Settings::known(|settings| {
        settings.text("ISSUER", "", "whose tokens are good");
        settings.in_group("PostgreSQL", |settings| {
            settings.duration_ms("WAIT_MS", 9, "a wait");
            settings.optional_number("SEED", 1..=9_u64, "a seed");
        });
        settings.required_text("ISSUER", "the name in tokens");
    });
    let shown: Vec<_> = known
        .iter()
        .map(|setting| {
            let (group, name) = (setting.group, &setting.name);
            format!("{group}/{name}/{}/{}", setting.otherwise, setting.accepts)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "/ISSUER/must be given/text",
            "PostgreSQL/WAIT_MS/`9`/0 to 3600000",
            "PostgreSQL/SEED/none/1 to 9",
        ]
    );
}
