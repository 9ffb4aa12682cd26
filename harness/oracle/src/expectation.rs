//! The promises of a scenario's own, judged on the same joined history.

mod orders_seen;

use crate::join::Joined;
use crate::memory;
use crate::names::Products;
use crate::record::{Expectation, FactKind};
use crate::row::{OperationRow, OutcomeRow};
use crate::verdict::{Evidence, Headline, Offences, Subject, Verdict};

impl Expectation {
    /// The kinds of facts without which nothing can be said.
    pub fn needs(&self) -> &'static [FactKind] {
        match self {
            Self::ProviderAttemptsPerOrder { .. } => &[FactKind::ProviderRequests],
            Self::FailedShare { .. }
            | Self::AcceptedOrders { .. }
            | Self::Refusals { .. }
            | Self::UnansweredShare { .. }
            | Self::FaultFelt { .. }
            | Self::NobodyTrusted { .. }
            | Self::MemoryGrowth { .. }
            | Self::OrdersSeen { .. }
            | Self::UnansweredAttempts { .. } => &[],
            Self::ShownStockTrue => &[FactKind::ShownStock, FactKind::Stock],
            Self::UnitsSold { .. } => &[FactKind::Order, FactKind::OrderLine],
            Self::OrdersInState { .. } => &[FactKind::Order],
            Self::ParkedMessages { .. } => &[FactKind::Parked],
            Self::NoForgedOrder => &[FactKind::Order],
        }
    }

    /// Judges a history by this promise.
    pub fn check(&self, joined: &Joined<'_>) -> Verdict {
        if let Some(reason) = joined.missing(self.needs()) {
            return Verdict::Undetermined { reason };
        }
        match self {
            Self::ProviderAttemptsPerOrder { at_most } => provider_attempts(joined, *at_most),
            Self::FailedShare { at_most } => share(joined, *at_most, "failed", |outcome| {
                !matches!(outcome, OutcomeRow::Done(_))
            }),
            Self::UnansweredShare { at_most } => {
                share(joined, *at_most, "were left without an answer", |outcome| {
                    matches!(outcome, OutcomeRow::Unknown(_))
                })
            }
            Self::AcceptedOrders { at_least } => accepted_orders(joined, *at_least),
            Self::UnansweredAttempts { at_least } => unanswered_attempts(joined, *at_least),
            Self::ShownStockTrue => shown_stock(joined),
            Self::OrdersSeen { state, at_least } => orders_seen::check(joined, state, *at_least),
            Self::UnitsSold {
                product_id,
                exactly,
            } => units_sold(joined, product_id.as_deref(), *exactly),
            Self::OrdersInState {
                state,
                at_least,
                at_most,
            } => orders_in_state(joined, state, *at_least, *at_most),
            Self::Refusals {
                reason,
                at_least,
                at_most,
            } => refusals(joined, reason, *at_least, *at_most),
            Self::ParkedMessages {
                topic,
                at_least,
                at_most,
            } => parked_messages(joined, topic, *at_least, *at_most),
            Self::FaultFelt { fault, at_most } => fault_felt(joined, fault, *at_most),
            Self::NobodyTrusted { fault } => nobody_trusted(joined, fault),
            Self::MemoryGrowth { at_most } => memory::growth_bounded(joined.history, *at_most),
            Self::NoForgedOrder => no_forged_order(joined),
        }
    }
}

fn provider_attempts(joined: &Joined<'_>, at_most: u64) -> Verdict {
    const HEADLINE: Headline = Headline {
        of: "orders at the provider",
        one: "made it work too often",
        several: "made it work too often",
    };
    let mut offences = Offences::new(joined);
    let requests = &joined.history.rows.requests;
    for row in requests.iter().filter(|row| row.attempts > at_most) {
        offences.add(Subject::Order(row.order), row.attempts, || {
            format!(
                "order {} was sent {} times as a {}, at most {at_most} were expected",
                joined.order_id(row.order),
                row.attempts,
                joined.word(row.kind)
            )
        });
    }
    offences.verdict(requests.len() as u64, &HEADLINE)
}

/// At most this share of all attempts ended like this.
fn share(
    joined: &Joined<'_>,
    at_most: f64,
    words: &str,
    is_meant: impl Fn(OutcomeRow) -> bool,
) -> Verdict {
    let operations = honest_operations(joined);
    let all = operations.clone().count() as u64;
    if all == 0 {
        return Verdict::Undetermined {
            reason: "no customer attempted anything".to_owned(),
        };
    }
    let mut offences = operations.filter(|row| is_meant(row.outcome));
    let first = offences.next().map(|row| Subject::Intent(row.intent));
    let count = u64::from(first.is_some()) + offences.count() as u64;
    let share = count as f64 / all as f64;
    if share <= at_most {
        return Verdict::Holds { checked: all };
    }
    let sentence = format!(
        "{count} of {all} attempts {words}, {:.1} %, at most {:.1} % were expected",
        share * 100.0,
        at_most * 100.0
    );
    broken(joined, count, all, sentence, first)
}

/// The attempts of customers, without those of forgers.
fn honest_operations<'h>(joined: &Joined<'h>) -> impl Iterator<Item = &'h OperationRow> + Clone {
    let operations = joined.history.rows.operations.iter();
    operations.filter(|row| row.forged.is_none())
}

fn no_forged_order(joined: &Joined<'_>) -> Verdict {
    const HEADLINE: Headline = Headline {
        of: "attempts with a forged token",
        one: "led to an order",
        several: "led to orders",
    };
    let mut offences = Offences::new(joined);
    let mut tried = 0;
    for row in &joined.history.rows.operations {
        let Some(flaw) = row.forged else { continue };
        tried += 1;
        let answered = match row.outcome {
            OutcomeRow::Done(order) => Some(order),
            _ => None,
        };
        let Some(order) = answered.or_else(|| joined.orders_of(row.intent).next()) else {
            continue;
        };
        offences.add(Subject::Intent(row.intent), 1, || {
            format!(
                "order {} was accepted from somebody who is not {}: the token was forged ({})",
                joined.order_id(order),
                joined.word(row.customer),
                joined.word(flaw)
            )
        });
    }
    if tried == 0 {
        return Verdict::Undetermined {
            reason: "nobody came with a forged token".to_owned(),
        };
    }
    offences.verdict(tried, &HEADLINE)
}

fn accepted_orders(joined: &Joined<'_>, at_least: u64) -> Verdict {
    let mut accepted: Vec<_> = honest_operations(joined)
        .filter_map(|row| match row.outcome {
            OutcomeRow::Done(order) => Some(order),
            _ => None,
        })
        .collect();
    accepted.sort_unstable();
    accepted.dedup();
    let count = accepted.len() as u64;
    if count >= at_least {
        return Verdict::Holds { checked: count };
    }
    let sentence = format!("{count} orders were accepted, at least {at_least} were expected");
    broken(joined, at_least - count, count, sentence, None)
}

fn unanswered_attempts(joined: &Joined<'_>, at_least: u64) -> Verdict {
    let operations = &joined.history.rows.operations;
    let count = operations
        .iter()
        .filter(|row| matches!(row.outcome, OutcomeRow::Unknown(_)))
        .count() as u64;
    if count >= at_least {
        return Verdict::Holds { checked: count };
    }
    let sentence =
        format!("{count} attempts were left without an answer, at least {at_least} were expected");
    broken(
        joined,
        at_least - count,
        operations.len() as u64,
        sentence,
        None,
    )
}

fn shown_stock(joined: &Joined<'_>) -> Verdict {
    const HEADLINE: Headline = Headline {
        of: "numbers shown of the stock",
        one: "was not true",
        several: "were not true",
    };
    let shown = &joined.history.rows.shown;
    if shown.is_empty() {
        return Verdict::Undetermined {
            reason: "nothing is shown of the stock".to_owned(),
        };
    }
    if !joined.is_at_rest() {
        return moving("what is shown of the stock may still change");
    }
    let mut offences = Offences::new(joined);
    for row in shown {
        let there = joined.stock(row.product).map_or(0, |stock| stock.on_hand);
        if row.on_hand != there {
            let subject = Subject::Product(row.product);
            offences.add(subject, row.on_hand.abs_diff(there), || {
                format!(
                    "product {} is shown with {} units, and there are {there}",
                    joined.product_id(row.product),
                    row.on_hand
                )
            });
        }
    }
    offences.verdict(shown.len() as u64, &HEADLINE)
}

fn units_sold(joined: &Joined<'_>, product_id: Option<&str>, exactly: i64) -> Verdict {
    let product = product_id.map(|id| joined.history.names.products.find(id));
    let is_meant =
        |key: crate::names::Key<Products>| product.is_none_or(|product| product == Some(key));
    let lines = joined
        .history
        .rows
        .lines
        .iter()
        .filter(|line| is_meant(line.quantity.product));
    let sold = lines
        .filter(|line| {
            joined
                .order(line.order)
                .is_some_and(|row| joined.is_fulfilled(row))
        })
        .map(|line| line.quantity.units)
        .fold(0, i64::saturating_add);
    if sold == exactly {
        return Verdict::Holds {
            checked: sold.unsigned_abs(),
        };
    }
    let of = product_id.map_or_else(String::new, |id| format!(" of {id}"));
    let sentence = format!("{sold} units{of} were sold, exactly {exactly} were expected");
    if sold < exactly && !joined.is_at_rest() {
        return moving(&sentence);
    }
    let subject = product.flatten().map(Subject::Product);
    broken(
        joined,
        sold.abs_diff(exactly),
        sold.unsigned_abs(),
        sentence,
        subject,
    )
}

fn orders_in_state(
    joined: &Joined<'_>,
    state: &str,
    at_least: u64,
    at_most: Option<u64>,
) -> Verdict {
    let key = joined.history.names.words.find(state);
    let mut orders = joined
        .history
        .rows
        .orders
        .iter()
        .filter(|row| Some(row.state) == key);
    let count = orders.clone().count() as u64;
    let too_many = at_most.is_some_and(|at_most| count > at_most);
    if count >= at_least && !too_many {
        return Verdict::Holds { checked: count };
    }
    let expected = bounds(at_least, at_most);
    let sentence = format!("{count} orders are {state}, {expected} were expected");
    if !joined.is_at_rest() {
        return moving(&sentence);
    }
    let first = orders
        .next()
        .filter(|_| too_many)
        .map(|row| Subject::Order(row.order));
    let count_off = at_most
        .filter(|_| too_many)
        .map_or(at_least.saturating_sub(count), |at_most| count - at_most);
    broken(
        joined,
        count_off,
        joined.history.rows.orders.len() as u64,
        sentence,
        first,
    )
}

fn parked_messages(
    joined: &Joined<'_>,
    topic: &str,
    at_least: u64,
    at_most: Option<u64>,
) -> Verdict {
    let key = joined.history.names.topics.find(topic);
    let parked = &joined.history.rows.parked;
    let mut parked = parked.iter().filter(|row| Some(row.place.topic) == key);
    let count = parked.clone().count() as u64;
    let expected = bounds(at_least, at_most);
    let sentence = |reason: String| {
        format!("{count} messages of {topic} were parked, {expected} were expected{reason}")
    };
    if let Some(at_most) = at_most.filter(|at_most| count > *at_most) {
        let first = parked.next();
        let reason = first.map_or_else(String::new, |row| {
            let group = joined.history.names.groups.text(row.group);
            format!(": {group} gave one up because {}", joined.word(row.reason))
        });
        let first = first.map(|row| Subject::Message(row.place, None));
        return broken(joined, count - at_most, count, sentence(reason), first);
    }
    if count >= at_least {
        return Verdict::Holds { checked: count };
    }
    if !joined.is_at_rest() {
        return moving(&sentence(String::new()));
    }
    let missing = at_least - count;
    broken(joined, missing, count, sentence(String::new()), None)
}

/// What was expected of a count, in words.
fn bounds(at_least: u64, at_most: Option<u64>) -> String {
    match at_most {
        Some(at_most) if at_most == at_least => format!("exactly {at_least}"),
        Some(at_most) if at_least == 0 => format!("at most {at_most}"),
        Some(at_most) => format!("{at_least} to {at_most}"),
        None => format!("at least {at_least}"),
    }
}

/// Refusals of customers; that forgers are refused is none of this promise.
fn refusals(joined: &Joined<'_>, reason: &str, at_least: u64, at_most: Option<u64>) -> Verdict {
    let words = &joined.history.names.words;
    let is_meant = |outcome| match outcome {
        OutcomeRow::Refused(word) => {
            let rest = words.text(word).strip_prefix(reason);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', ' ']))
        }
        _ => false,
    };
    let operations = honest_operations(joined);
    let all = operations.clone().count() as u64;
    let mut refused = operations.filter(|row| is_meant(row.outcome));
    let count = refused.clone().count() as u64;
    let expected = bounds(at_least, at_most);
    let sentence = format!("{count} attempts were refused with {reason}, {expected} were expected");
    match at_most {
        Some(at_most) if count > at_most => {
            let first = refused.next().map(|row| Subject::Intent(row.intent));
            broken(joined, count - at_most, all, sentence, first)
        }
        _ if count >= at_least => Verdict::Holds { checked: count },
        _ => broken(joined, at_least - count, all, sentence, None),
    }
}

/// How often a fault was felt in all. One that nobody felt at all says nothing about who leaves it alone.
fn fault_felt(joined: &Joined<'_>, fault: &str, at_most: u64) -> Verdict {
    let felt = joined.history.felt.iter().filter(|row| row.fault == fault);
    let count: u64 = felt.map(|row| row.count).sum();
    if count == 0 {
        return Verdict::Undetermined {
            reason: format!("nobody felt the fault \"{fault}\""),
        };
    }
    if count <= at_most {
        return Verdict::Holds { checked: count };
    }
    let sentence =
        format!("the fault \"{fault}\" was felt {count} times, at most {at_most} were expected");
    broken(joined, count - at_most, count, sentence, None)
}

/// Who believed what a fault showed has said to somebody what was meant for another.
fn nobody_trusted(joined: &Joined<'_>, fault: &str) -> Verdict {
    let mut counted = joined
        .history
        .trusted
        .iter()
        .filter(|row| row.fault == fault)
        .peekable();
    if counted.peek().is_none() {
        return Verdict::Undetermined {
            reason: format!("nobody counted who believed what the fault \"{fault}\" showed"),
        };
    }
    let count: u64 = counted.map(|row| row.count).sum();
    if count == 0 {
        return Verdict::Holds { checked: 1 };
    }
    let sentence = format!(
        "{count} connections were made with somebody who could not prove who he is, while the fault \"{fault}\" was in force"
    );
    broken(joined, count, count, sentence, None)
}

fn moving(sentence: &str) -> Verdict {
    Verdict::Undetermined {
        reason: format!("the pipeline had not come to rest: {sentence}"),
    }
}

fn broken(
    joined: &Joined<'_>,
    count: u64,
    checked: u64,
    sentence: String,
    subject: Option<Subject>,
) -> Verdict {
    Verdict::Violated(Evidence {
        count,
        checked,
        sentence,
        worst: None,
        subjects: subject
            .map(|subject| subject.name(joined))
            .into_iter()
            .collect(),
        story: subject.map_or_else(Vec::new, |subject| {
            crate::story::of_subject(joined, subject)
        }),
    })
}
