//! What each step means. One table serves `firedrill list steps`, the reference page and the search for the nearest
//! known step; a test holds it against the steps that exist.

use cucumber::World as _;
use gherkin::{LineCol, Span, StepType};

use super::world::DrillWorld;
use crate::{
    diagnostic::suggestion,
    feature::{StepMatch, StepProblem, StepVocabulary},
    profile::Profiles,
    topology::Topology,
};

/// One step of the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct StepDocument {
    /// `Given`, `When` or `Then`.
    pub keyword: &'static str,
    /// A line as one would write it.
    pub example: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

const fn step(keyword: &'static str, example: &'static str, meaning: &'static str) -> StepDocument {
    StepDocument {
        keyword,
        example,
        meaning,
    }
}

/// All steps, in reading order.
pub const STEPS: &[StepDocument] = &[
    step(
        "Given",
        "the order pipeline is running",
        "The whole pipeline of the topology runs and is ready before the first step that needs it.",
    ),
    step(
        "Given",
        "3 instances of payment-service",
        "So many instances instead of the topology's number.",
    ),
    step(
        "Given",
        "the setting PROVIDER_TIMEOUT_MS of payment-service is \"300\"",
        "Another value than the topology's, for this scenario.",
    ),
    step(
        "Given",
        "the defence payment.inbox-dedup is off",
        "Where two defences protect from the same thing, only the other one is left to protect in this scenario.",
    ),
    step(
        "Given",
        "40 products with 25 units each in stock",
        "What the shop has before the first order; prices follow from the seed.",
    ),
    step(
        "Given",
        "customers place 20 orders per second",
        "Customers come evenly and do not wait for each other; each order carries an idempotency key and is tried once.",
    ),
    step(
        "Given",
        "customers without idempotency keys place 20 orders per second",
        "As before, but nobody sends a key, so nobody may try blindly again for them.",
    ),
    step(
        "Given",
        "customers with forged tokens place 10 orders per second",
        "They come in the names of other customers: with tokens that are expired, for somebody else, wrongly or not signed, in turn. They are not counted among the customers.",
    ),
    step(
        "Given",
        "customers who try up to 3 times place 20 orders per second",
        "As before, but a customer whose outcome is unknown tries again with the same key.",
    ),
    step(
        "Given",
        "customers who change their mind place 20 orders per second",
        "As customers do, but each gives its order up as soon as it is told that it was accepted.",
    ),
    step(
        "Given",
        "customers who follow their orders place 10 orders per second",
        "As customers do, but each looks again and again what has become of its order, to the order's end or until customers are sent home, and says which version it has seen.",
    ),
    step(
        "Given",
        "customers who follow their orders and change their mind place 5 orders per second",
        "As before, but each looks at its order once, gives it up, and looks on.",
    ),
    step(
        "Given",
        "customers with notes of 5000 characters place 5 orders per second",
        "As customers do, but each writes so much beside its order.",
    ),
    step(
        "Given",
        "new customers place 10 orders per second",
        "As customers do, but each is new: it asks where the shop is and makes a connection of its own.",
    ),
    step(
        "Given",
        "10 customers order again and again",
        "Each orders anew as soon as the last order was answered.",
    ),
    step(
        "Given",
        "a shopper has the shop open in a browser",
        "A real browser opens the shop's page and signs in; without a browser the scenario is skipped.",
    ),
    step(
        "When",
        "the fault \"provider-charged-answer-lost\" is injected",
        "The fault of that profile comes into force and stays until it heals.",
    ),
    step(
        "When",
        "the fault \"provider-charged-answer-lost\" is injected until it was felt 10 times",
        "Waits, at most 20 seconds, until its witness has counted so many; that many are then required.",
    ),
    step(
        "When",
        "the fault \"provider-slow\" is injected for 2 seconds",
        "The fault is in force for that time, then heals.",
    ),
    step(
        "When",
        "the fault is felt 30 times",
        "Waits, at most 20 seconds, until the witness of the fault injected last has counted so many; that many are then required.",
    ),
    step(
        "When",
        "the fault heals",
        "Everything in force is taken back, the last first.",
    ),
    step(
        "When",
        "customers have placed 50 orders",
        "Waits until customers have made so many attempts since they came.",
    ),
    step(
        "When",
        "customers have placed 20 more orders",
        "Waits for so many further attempts.",
    ),
    step(
        "When",
        "60 customers order 1 unit of the same product at the same moment",
        "A rush for the first product; waits for every outcome.",
    ),
    step(
        "When",
        "20 customers order 1 unit each of the same 2 products at the same moment, every other one in the opposite order",
        "A rush for the first products, whose lines cross; waits for every outcome.",
    ),
    step(
        "When",
        "all prices rise by 10 percent",
        "The shop changes its prices; customers who are there go on with what they were shown.",
    ),
    step(
        "When",
        "the shopper buys 2 units of product 1",
        "Puts them into the basket, presses Pay, and waits until the page says what came of it.",
    ),
    step(
        "When",
        "the shopper presses pay again",
        "If the page still has something to pay; waits until it says what came of it.",
    ),
    step(
        "When",
        "the shopper sees that the order is fulfilled",
        "Waits until the page shows it.",
    ),
    step(
        "When",
        "the shopper reads \"We could not reach the shop\"",
        "Waits until these words stand in the page.",
    ),
    step(
        "When",
        "the stock is shown",
        "Asks every instance what it shows of the stock, as customers who only look would.",
    ),
    step(
        "When",
        "2 seconds pass",
        "Customers go on, faults stay in force.",
    ),
    step(
        "When",
        "the customers stop",
        "Nobody new comes; those under way get their outcome.",
    ),
    step(
        "When",
        "the pipeline settles within 30 seconds",
        "Heals, sends customers home, and waits until nothing is outstanding.",
    ),
    step(
        "Then",
        "every promise is kept",
        "Says what is always checked after every scenario.",
    ),
    step(
        "Then",
        "the provider saw at most 3 attempts per order",
        "No order made the payment provider work more often.",
    ),
    step(
        "Then",
        "at most 5 percent of the attempts fail",
        "Refused or unknown, of all attempts of customers.",
    ),
    step(
        "Then",
        "at least 40 orders are accepted",
        "The load was real.",
    ),
    step(
        "Then",
        "at least 1 attempt is left without an answer",
        "The customers really were in doubt.",
    ),
    step(
        "Then",
        "the stock that is shown is true",
        "Once everything has come to rest every instance shows as many units as there are.",
    ),
    step(
        "Then",
        "customers see of at least 20 orders that they are payment_pending",
        "So many orders were shown to customers in that state, while it lasted.",
    ),
    step(
        "Then",
        "no forged order is accepted",
        "Nobody with a forged token got an order; somebody must have tried.",
    ),
    step(
        "Then",
        "exactly 5 units are sold",
        "Neither more nor fewer, over all products.",
    ),
    step(
        "Then",
        "at least 1 order ends refunded",
        "So many orders came to rest in that state.",
    ),
    step(
        "Then",
        "at most 0 orders end declined",
        "No more orders than that came to rest in that state.",
    ),
    step(
        "Then",
        "at most 10 percent of the attempts are left without an answer",
        "Unknown outcomes, of all attempts of customers; a refusal is an answer.",
    ),
    step(
        "Then",
        "at least 10 attempts are refused with \"503 overloaded\"",
        "So many attempts of customers ended with that status and code; with \"401\" whatever the code, with \"not sent\" those that never left the customer.",
    ),
    step(
        "Then",
        "at most 0 attempts are refused with \"401\"",
        "No more attempts of customers, those of forgers aside, ended so.",
    ),
    step(
        "Then",
        "no component's memory grows by more than 30 percent",
        "Medians of the second and the last quarter of the load, for every instance; all are printed.",
    ),
    step(
        "Then",
        "at least 1 message of payment-commands is parked",
        "So many messages of that topic were given up and kept in its dead-letter topic.",
    ),
    step(
        "Then",
        "at most 0 messages of payment-commands are parked",
        "No more messages of that topic than that were given up.",
    ),
    step(
        "Then",
        "the fault \"provider-fails-before-booking\" was felt at most 40 times",
        "Who is hurt leaves the cause alone: its witness counted no more than that.",
    ),
    step(
        "Then",
        "nobody trusted the server while the fault \"provider-certificate-untrusted\" was in force",
        "No client went on with a server that could not prove who it is.",
    ),
];

/// The steps as the check before the start sees them: words, and the names inside them.
pub struct KnownSteps<'a> {
    /// Faults that a step may name.
    pub profiles: &'a Profiles,
    /// Components and settings that a step may name.
    pub topology: &'a Topology,
}

impl StepVocabulary for KnownSteps<'_> {
    fn find(&self, text: &str, kind: StepType) -> StepMatch {
        find(text, kind)
    }

    fn nearest(&self, text: &str, kind: StepType) -> Option<String> {
        nearest(text, kind).map(str::to_owned)
    }

    fn problems(&self, step: &gherkin::Step) -> Vec<StepProblem> {
        let text = step.value.as_str();
        let fault = fault_named(text).and_then(|name| self.unknown_fault(name));
        let component = component_named(text).and_then(|name| self.unknown_component(name));
        let setting = setting_named(text)
            .and_then(|(setting, component)| self.unknown_setting(setting, component));
        let defence = defence_named(text).and_then(|name| self.unknown_defence(name));
        fault
            .into_iter()
            .chain(component)
            .chain(setting)
            .chain(defence)
            .collect()
    }
}

impl KnownSteps<'_> {
    fn unknown_fault(&self, name: &str) -> Option<StepProblem> {
        if self.profiles.get(name).is_some() {
            return None;
        }
        Some(problem(
            name,
            "there is no fault profile of this name",
            suggestion(name, self.profiles.names()),
        ))
    }

    fn unknown_component(&self, name: &str) -> Option<StepProblem> {
        let known: Vec<&str> = self
            .topology
            .started()
            .map(|component| component.name.as_str())
            .collect();
        if known.contains(&name) {
            return None;
        }
        Some(problem(
            name,
            "the topology starts no component of this name",
            suggestion(name, known.iter().copied()),
        ))
    }

    fn unknown_defence(&self, name: &str) -> Option<StepProblem> {
        let defences = &self.topology.defences;
        if defences.contains_key(name) {
            return None;
        }
        Some(problem(
            name,
            "the topology has no defence of this name",
            suggestion(name, defences.keys().map(String::as_str)),
        ))
    }

    fn unknown_setting(&self, setting: &str, component: &str) -> Option<StepProblem> {
        let component = self.topology.components.get(component)?;
        let settings = self.topology.settings_of(component);
        if settings.contains_key(setting) {
            return None;
        }
        let remedy = suggestion(setting, settings.keys().copied());
        Some(problem(
            setting,
            "the topology gives this component no such setting",
            remedy,
        ))
    }
}

fn problem(part: &str, message: &str, remedy: Option<String>) -> StepProblem {
    StepProblem {
        part: part.to_owned(),
        message: message.to_owned(),
        remedy,
    }
}

/// How many steps a text means: one is right, none is unknown, more is ambiguous.
fn find(text: &str, kind: StepType) -> StepMatch {
    let step = gherkin::Step {
        keyword: String::new(),
        ty: kind,
        value: text.to_owned(),
        docstring: None,
        table: None,
        span: Span { start: 0, end: 0 },
        position: LineCol { line: 1, col: 1 },
    };
    match DrillWorld::collection().find(&step) {
        Ok(Some(_)) => StepMatch::Defined,
        Ok(None) => StepMatch::Undefined,
        Err(ambiguous) => StepMatch::Ambiguous(
            ambiguous
                .possible_matches
                .iter()
                .map(|(regex, _)| regex.as_str().to_owned())
                .collect(),
        ),
    }
}

/// The step that is most like a text, as one would write it; one of the same keyword where two are alike.
fn nearest(text: &str, kind: StepType) -> Option<&'static str> {
    let keyword = format!("{kind:?}");
    STEPS
        .iter()
        .map(|step| {
            let likeness = strsim::normalized_damerau_levenshtein(text, step.example);
            (
                likeness + if step.keyword == keyword { 0.05 } else { 0.0 },
                step.example,
            )
        })
        .filter(|(likeness, _)| *likeness > 0.45)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, example)| example)
}

fn fault_named(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("the fault \"")?;
    let (name, _) = rest.split_once('"')?;
    Some(name)
}

fn defence_named(text: &str) -> Option<&str> {
    text.strip_prefix("the defence ")?.strip_suffix(" is off")
}

fn component_named(text: &str) -> Option<&str> {
    if let Some((_, component)) = setting_named(text) {
        return Some(component);
    }
    let (count, rest) = text.split_once(' ')?;
    count.parse::<u32>().ok()?;
    rest.strip_prefix("instances of ")
        .or_else(|| rest.strip_prefix("instance of "))
}

fn setting_named(text: &str) -> Option<(&str, &str)> {
    let (setting, rest) = text.strip_prefix("the setting ")?.split_once(" of ")?;
    let (component, _) = rest.split_once(" is ")?;
    Some((setting, component))
}

#[cfg(test)]
mod tests {
    use cucumber::codegen::{StepConstructor, WorldInventory, inventory};

    use super::*;

    fn expressions<T: inventory::Collect + StepConstructor<DrillWorld>>() -> Vec<String> {
        inventory::iter::<T>
            .into_iter()
            .map(|step| step.inner().1().as_str().to_owned())
            .collect()
    }

    #[test]
    fn every_example_means_exactly_one_step() {
        for document in STEPS {
            let kind = match document.keyword {
                "Given" => StepType::Given,
                "When" => StepType::When,
                _ => StepType::Then,
            };
            assert_eq!(
                find(document.example, kind),
                StepMatch::Defined,
                "{}",
                document.example
            );
        }
    }

    #[test]
    fn every_step_has_an_example() {
        let by_keyword = [
            (
                "Given",
                expressions::<<DrillWorld as WorldInventory>::Given>(),
            ),
            (
                "When",
                expressions::<<DrillWorld as WorldInventory>::When>(),
            ),
            (
                "Then",
                expressions::<<DrillWorld as WorldInventory>::Then>(),
            ),
        ];
        for (keyword, expressions) in by_keyword {
            assert!(!expressions.is_empty());
            for expression in expressions {
                let regex = regex::Regex::new(&expression).expect("cucumber compiled it");
                let documented = STEPS
                    .iter()
                    .any(|step| step.keyword == keyword && regex.is_match(step.example));
                assert!(
                    documented,
                    "{keyword} {expression} has no example in the table"
                );
            }
        }
    }

    #[test]
    fn a_misspelt_step_has_a_nearest_one() {
        assert_eq!(
            nearest("the custommers stop", StepType::When),
            Some("the customers stop")
        );
        assert_eq!(nearest("zzz", StepType::When), None);
    }
}
