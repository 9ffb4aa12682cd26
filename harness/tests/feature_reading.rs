//! Feature files: what a good one means, and what each mistake is answered with.

use std::path::PathBuf;

use firedrill::{
    diagnostic::Source,
    feature::{
        self, Feature, StepMatch, StepProblem, StepVocabulary, TagExpression, Vocabulary, Without,
    },
    topology::Topology,
};
use gherkin::StepType;

const TOPOLOGY: &str = r#"
customers.entry = "shop"
[component.shop]
command = ["shop"]
ports = { http = "http" }
settings = { LISTEN = "{listen:http}" }
[defence."shop.limit"]
component = "shop"
protects = "one customer cannot take everything"
"#;

const GOOD: &str = r#"@F6.5
Feature: Payments
  What happens when the provider fails. The cards are charged
  by a company that is not ours.

  Background:
    Given the shop is open

  @without:shop.limit/no-duplicate-charge @slow
  Scenario: An answer is lost
    The first answer never arrives.
    When 12 answers are lost
      | share | kind |
      | 0.5   | cut  |
    And the shop closes
    Then every promise is kept

  # an outline with gaps
  Scenario Outline: Losing <count> answers
    When <count> answers are lost
    Then every promise is kept

    Examples:
      | count |

      # few
      | 1     |
      | 20    |

    @quick
    Examples: many
      | count |
      | 300   |
"#;

struct Steps;

impl StepVocabulary for Steps {
    fn find(&self, text: &str, kind: StepType) -> StepMatch {
        match text {
            "the shop is open" if kind != StepType::Given => StepMatch::Undefined,
            "the shop is open" | "the shop closes" | "every promise is kept" => StepMatch::Defined,
            "it rains" => StepMatch::Ambiguous(vec!["it {word}".into(), "it rains".into()]),
            text if text.ends_with("answers are lost") => StepMatch::Defined,
            _ => StepMatch::Undefined,
        }
    }

    fn nearest(&self, text: &str, _: StepType) -> Option<String> {
        firedrill::diagnostic::nearest(text, ["the shop is open", "the shop closes"])
            .map(str::to_owned)
    }

    fn problems(&self, step: &gherkin::Step) -> Vec<StepProblem> {
        let number = step.value.split(' ').next().unwrap_or_default();
        let is_count = step.value.ends_with("answers are lost");
        (is_count && number.parse::<u32>().is_err())
            .then(|| StepProblem {
                part: number.to_owned(),
                message: format!("`{number}` is not a number"),
                remedy: None,
            })
            .into_iter()
            .collect()
    }
}

fn topology() -> Topology {
    Topology::parse(Source::new("topology.toml", TOPOLOGY), PathBuf::from(".")).unwrap()
}

fn read(text: &str) -> Result<Feature, String> {
    let topology = topology();
    let vocabulary =
        Vocabulary::new(&topology, ["no-duplicate-charge", "every-order-final"]).with_steps(&Steps);
    feature::parse(&Source::new("x.feature", text), &vocabulary).map_err(|found| found.to_string())
}

/// What is said about the good file with one piece of it written differently.
fn complaint(piece: &str, instead: &str) -> String {
    assert!(GOOD.contains(piece), "the file has no `{piece}`");
    read(&GOOD.replacen(piece, instead, 1))
        .err()
        .unwrap_or_default()
}

fn check(golden: &[(&str, &str, &str)]) {
    let wrong: Vec<String> = golden
        .iter()
        .filter_map(|(piece, instead, expected)| {
            let told = complaint(piece, instead);
            (told != *expected)
                .then(|| format!("`{piece}` -> `{instead}`\n  told: {told}\n  want: {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_good_file_means_scenarios_with_true_lines() {
    let feature = read(GOOD).unwrap();
    let told: Vec<String> = feature
        .scenarios
        .iter()
        .map(|scenario| {
            let steps: Vec<String> = scenario
                .steps
                .iter()
                .map(|step| format!("{}:{}", step.line, step.gherkin.value))
                .collect();
            format!("{} {} [{}]", scenario.line, scenario.name, steps.join(", "))
        })
        .collect();
    assert_eq!(
        told,
        [
            "10 An answer is lost [7:the shop is open, 12:12 answers are lost, 15:the shop closes, \
             16:every promise is kept]",
            "27 Losing 1 answers [7:the shop is open, 20:1 answers are lost, 21:every promise is kept]",
            "28 Losing 20 answers [7:the shop is open, 20:20 answers are lost, 21:every promise is kept]",
            "33 Losing 300 answers [7:the shop is open, 20:300 answers are lost, 21:every promise is kept]",
        ]
    );
    let first = &feature.scenarios[0];
    assert_eq!(first.failures, ["6.5"]);
    assert_eq!(
        first.without,
        [Without {
            defence: "shop.limit".to_owned(),
            finding: "no-duplicate-charge".to_owned()
        }]
    );
    assert_eq!(first.lines, (9, 18));
    assert_eq!(feature.scenarios[3].tags, ["F6.5", "quick"]);
    let table = first.steps[1].gherkin.table.as_ref().unwrap();
    assert_eq!(table.rows, [["share", "kind"], ["0.5", "cut"]]);
    let positions: Vec<usize> = feature
        .gherkin
        .scenarios
        .iter()
        .map(|scenario| scenario.position.line)
        .collect();
    assert_eq!(positions, [10, 27, 28, 33]);
    let last = feature.only(|scenario| scenario.line == 28);
    assert_eq!(last.gherkin.scenarios.len(), 1);
    assert_eq!(
        last.gherkin.scenarios[0].steps[0].value,
        "20 answers are lost"
    );
}

#[test]
fn each_mistake_in_the_lines_has_its_place_and_its_remedy() {
    check(&[
        (
            "    The first answer never arrives.\n    When 12",
            "    Wehn 12",
            "x.feature:11:5: this is no step, but looks like one (did you mean `When`?)\n\
             x.feature:12:7: a table must follow a step or `Examples:`\n\
             x.feature:14:5: this step continues nothing (begin with `Given`, `When` or `Then`)",
        ),
        (
            "    And the shop",
            "    Adn the shop",
            "x.feature:15:5: this line is neither a step nor anything else (did you mean `And`?)",
        ),
        (
            "Scenario: An",
            "Senario: An",
            "x.feature:9:3: these tags belong to nothing (write them right before `Feature:`, `Rule:`, `Scenario:` or \
             `Examples:`)\n\
             x.feature:10:3: this line is neither a step nor anything else (did you mean `Scenario:`?)\n\
             x.feature:11:5: this line is neither a step nor anything else (begin it with `Given`, `When`, `Then`, `And` \
             or `But`, or with `#` for a comment)",
        ),
        (
            "Scenario: An",
            "Scenario An",
            "x.feature:9:3: these tags belong to nothing (write them right before `Feature:`, `Rule:`, `Scenario:` or \
             `Examples:`)\n\
             x.feature:10:3: this line is neither a step nor anything else (did you mean `Scenario:`?)\n\
             x.feature:11:5: this line is neither a step nor anything else (begin it with `Given`, `When`, `Then`, `And` \
             or `But`, or with `#` for a comment)",
        ),
        (
            "Feature: Payments",
            "Featur: Payments",
            "x.feature:1:1: these tags belong to nothing (write them right before `Feature:`, `Rule:`, `Scenario:` or \
             `Examples:`)\n\
             x.feature:2:1: this stands before any `Feature:` (did you mean `Feature:`?)\n\
             x.feature:3:3: this stands before any `Feature:` (begin the file with `Feature: NAME`)\n\
             x.feature:4:3: this stands before any `Feature:` (begin the file with `Feature: NAME`)\n\
             x.feature:6:3: this stands before any `Feature:` (begin the file with `Feature: NAME`)",
        ),
        (
            "  Background:",
            "  Backgroud:",
            "x.feature:6:3: this looks like a misspelt keyword (did you mean `Background:`?)\n\
             x.feature:7:5: a step outside of a scenario (write `Scenario: NAME` before it)",
        ),
        (
            "    When <count> answers are lost\n    Then every promise is kept\n",
            "",
            "x.feature:19:3: this scenario has no steps (write `Given`, `When` or `Then` steps, or remove it)",
        ),
        (
            "    Given the shop is open\n",
            "",
            "x.feature:6:3: this background has no steps (write `Given`, `When` or `Then` steps, or remove it)",
        ),
        (
            "When <count> answers",
            "When <cuont> answers",
            "x.feature:20:10: the examples have no column `cuont` (did you mean `count`?)",
        ),
        (
            "      | 0.5   | cut  |",
            "      | 0.5   |",
            "x.feature:14:7: this row has 1 cells, but the first one has 2 (give every row of a table the same cells)",
        ),
        (
            "      | 0.5   | cut  |",
            "      | 0.5   | cut",
            "x.feature:14:7: this row has 1 cells, but the first one has 2 (give every row of a table the same cells)\n\
             x.feature:14:7: this row of a table has no end (end the row with `|`)",
        ),
        (
            "Scenario Outline: Losing <count> answers",
            "Scenario Outline: An answer is lost",
            "x.feature:19:3: line 10 has a scenario with the same name (say what makes this one different)",
        ),
        (
            "@slow\n  Scenario: An answer",
            "@slwo\n  Scenari: An answer",
            "x.feature:9:3: these tags belong to nothing (write them right before `Feature:`, `Rule:`, `Scenario:` or \
             `Examples:`)\n\
             x.feature:9:44: unknown tag `@slwo` (did you mean `@slow`?)\n\
             x.feature:10:3: this line is neither a step nor anything else (did you mean `Scenario:`?)\n\
             x.feature:11:5: this line is neither a step nor anything else (begin it with `Given`, `When`, `Then`, `And` \
             or `But`, or with `#` for a comment)",
        ),
        (
            "Scenario: An answer is lost",
            "Scenario:",
            "x.feature:10:3: this scenario has no name (say in a few words what it is about)",
        ),
        (
            "    And the shop closes",
            "    And the shop closes\n    \"\"\"\n    text",
            "x.feature:16:5: this text block has no end (close it with `\"\"\"` on a line of its own)",
        ),
    ]);
}

#[test]
fn files_without_content_are_named() {
    for (text, expected) in [
        (
            "",
            "x.feature: there is no feature in this file (begin it with `Feature: NAME`, or remove the file)",
        ),
        (
            "# nothing yet\n",
            "x.feature: there is no feature in this file (begin it with `Feature: NAME`, or remove the file)",
        ),
        (
            "Feature: x\n",
            "x.feature: this feature has no scenarios (write `Scenario: NAME`, or remove the file)",
        ),
        (
            "# language: de\nFunktionalität: x\n",
            "x.feature:1:1: features in `de` are not understood (write the keywords in English)\n\
             x.feature:2:1: this stands before any `Feature:` (begin the file with `Feature: NAME`)",
        ),
    ] {
        assert_eq!(read(text).unwrap_err(), expected);
    }
}

#[test]
fn each_mistake_in_the_tags_has_its_place_and_its_remedy() {
    check(&[
        (
            "@slow",
            "@slwo",
            "x.feature:9:44: unknown tag `@slwo` (did you mean `@slow`?)",
        ),
        (
            "@F6.5",
            "@F6.55",
            "x.feature:1:2: failure `6.55` is not in the catalogue (did you mean `@F6.5`?)",
        ),
        (
            "@F6.5",
            "@f6.5",
            "x.feature:1:2: unknown tag `@f6.5` (did you mean `@F6.5`?)",
        ),
        (
            "@without:shop.limit/",
            "@without:shop.limits/",
            "x.feature:9:12: unknown defence `shop.limits` (did you mean `shop.limit`?)",
        ),
        (
            "/no-duplicate-charge",
            "/no-duplicate-charges",
            "x.feature:9:23: unknown finding `no-duplicate-charges` (did you mean `no-duplicate-charge`?)",
        ),
        (
            "/no-duplicate-charge",
            "",
            "x.feature:9:4: `@without:shop.limit` does not say what must be found (write `@without:DEFENCE/FINDING`)",
        ),
        (
            "@without:",
            "@withuot:",
            "x.feature:9:4: unknown tag `@withuot:shop.limit/no-duplicate-charge` (did you mean \
             `@without:shop.limit/no-duplicate-charge`?)",
        ),
        (
            "@slow",
            "@retry(3)",
            "x.feature:9:44: unknown tag `@retry(3)` (known: `@F6.5`, `@without:DEFENCE/FINDING`, `@quick`, `@slow`, \
             `@alone`, `@regression`)",
        ),
        (
            "@slow",
            "slow",
            "x.feature:9:43: `slow` is not a tag (tags begin with `@` and are set apart by blanks)",
        ),
    ]);
}

#[test]
fn each_mistake_in_the_steps_has_its_place_and_its_remedy() {
    check(&[
        (
            "And the shop closes",
            "And the shop close",
            "x.feature:15:9: nobody knows this step (did you mean `the shop closes`?)",
        ),
        (
            "And the shop closes",
            "And pigs fly",
            "x.feature:15:9: nobody knows this step (`firedrill list steps` prints the steps there are)",
        ),
        (
            "And the shop closes",
            "And the shop is open",
            "x.feature:15:9: this step is a `Given`, and here it is read as a `When` (begin it with `Given`; `And` goes \
             on with what stands before it)",
        ),
        (
            "And the shop closes",
            "And it rains",
            "x.feature:15:9: this step means several things: it {word}; it rains (reword it so that only one fits)",
        ),
        (
            "When 12 answers",
            "When twelve answers",
            "x.feature:12:10: `twelve` is not a number",
        ),
        (
            "Given the shop is open",
            "Given the shop is opn",
            "x.feature:7:11: nobody knows this step (did you mean `the shop is open`?)",
        ),
    ]);
}

#[test]
fn tag_expressions_choose_and_complain() {
    let topology = topology();
    let vocabulary = Vocabulary::new(&topology, ["no-duplicate-charge"]);
    let matches = |text: &str, tags: &[&str]| {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        TagExpression::parse(text, &vocabulary)
            .unwrap()
            .matches(&tags)
    };
    assert!(matches("@F6.5 and not @slow", &["F6.5"]));
    assert!(!matches("@F6.5 and not @slow", &["F6.5", "slow"]));
    assert!(!matches("@F6.5", &["F6.55"]));
    assert!(matches("@F5.1 or @F6.5 and @slow", &["F5.1"]));
    assert!(!matches("(@F5.1 or @F6.5) and @slow", &["F5.1"]));
    assert!(matches(
        "@without:shop.limit",
        &["without:shop.limit/no-duplicate-charge"]
    ));
    assert!(matches("not(@slow) or @quick", &["quick"]));
    for (text, expected) in [
        (
            "",
            "--tags:1:1: a tag is missing (write a tag, as in `@F6.5 and not @slow`)",
        ),
        (
            "@slow and",
            "--tags:1:10: a tag is missing (write a tag, as in `@F6.5 and not @slow`)",
        ),
        ("slow", "--tags:1:1: `slow` is not a tag (write `@slow`)"),
        (
            "@slow @quick",
            "--tags:1:7: `@quick` is too much (put `and` or `or` between tags)",
        ),
        (
            "(@slow",
            "--tags:1:1: this bracket is never closed (add `)`)",
        ),
        (
            "not @slwo",
            "--tags:1:5: unknown tag `@slwo` (did you mean `@slow`?)",
        ),
    ] {
        let told = TagExpression::parse(text, &vocabulary)
            .unwrap_err()
            .to_string();
        assert_eq!(told, expected, "{text}");
    }
}

#[test]
fn files_folders_lines_and_tags_select() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payments.feature");
    std::fs::create_dir(folder.path().join("deep")).unwrap();
    std::fs::write(&path, GOOD).unwrap();
    std::fs::write(
        folder.path().join("deep/other.feature"),
        "Feature: y\n  @quick\n  Scenario: z\n    Given the shop is open\n",
    )
    .unwrap();
    let topology = topology();
    let vocabulary = Vocabulary::new(&topology, ["no-duplicate-charge"]);
    let root = folder.path().display().to_string();
    let chosen = |argument: &str, tags: Option<&str>| {
        feature::select(&[format!("{root}{argument}")], tags, &vocabulary)
            .map(|features| {
                let scenarios = features.iter().flat_map(|feature| &feature.scenarios);
                scenarios.map(|one| one.line).collect::<Vec<usize>>()
            })
            .map_err(|found| found.to_string().replace(&root, "HERE"))
    };
    assert_eq!(chosen("", None), Ok(vec![3, 10, 27, 28, 33]));
    assert_eq!(chosen("/payments.feature", None), Ok(vec![10, 27, 28, 33]));
    assert_eq!(chosen("/payments.feature:28", None), Ok(vec![28]));
    assert_eq!(chosen("/payments.feature:20", None), Ok(vec![27, 28, 33]));
    assert_eq!(chosen("/payments.feature:12", None), Ok(vec![10]));
    assert_eq!(chosen("", Some("@quick")), Ok(vec![3, 33]));
    assert_eq!(
        chosen("/payments.feature:3", None).unwrap_err(),
        "HERE/payments.feature:3: no scenario stands at this line (the nearest is `An answer is lost` at line 10)"
    );
    assert_eq!(
        chosen("/payment.feature", None).unwrap_err(),
        "HERE/payment.feature: there is no such file or folder (did you mean `HERE/payments.feature`?)"
    );
    assert_eq!(
        chosen("/deep", Some("@slow")).unwrap_err(),
        "--tags: none of 1 scenarios fits `@slow` (`firedrill lint` reads them all; see their tags in the feature files)"
    );
}
