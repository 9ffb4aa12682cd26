//! `dashboards-true`: no build of the dashboards claims to hold events that it lacks, counts one twice, or says that it is
//! less far behind than it is; and once the pipeline rests the dashboards are complete, and each window has the orders
//! placed, paid and given back, and the revenue, that the audit trail has.
//!
//! What a build claimed about the topic as it was then is judged at any time. That something is still missing is only wrong
//! when nobody will bring it any more.

use crate::join::{Dashboards, Figures, Joined};
use crate::row::ClaimRow;
use crate::verdict::{Headline, Offences, Subject, Verdict};

const HEADLINE: Headline = Headline {
    of: "windows and claims of the dashboards",
    one: "is not true",
    several: "are not true",
};

pub(super) fn check(joined: &Joined<'_>) -> Verdict {
    let dashboards = Dashboards::new(joined);
    let Some(truth) = &dashboards.truth else {
        let reason = "the audit rows do not say when things happened".to_owned();
        return Verdict::Undetermined { reason };
    };
    let mut offences = Offences::new(joined);
    let mut checked = 0;
    let mut all_complete = true;
    for claim in &joined.history.rows.claims {
        if !was_read(joined, claim) {
            continue;
        }
        checked += 1;
        let subject = Subject::Partition(claim.topic, claim.partition);
        if let Some(lie) = lie(joined, &dashboards, claim) {
            offences.add(subject, 1, || lie);
        }
        if dashboards.is_newest(claim) && !claim.complete {
            all_complete = false;
            offences.add_unless_moving(subject, 1, || {
                format!(
                    "the dashboards say themselves that they lack {} of the messages of {}",
                    claim.behind,
                    partition(joined, claim)
                )
            });
        }
    }
    let windows = dashboards.shown.keys().chain(truth.keys());
    let windows: std::collections::BTreeSet<_> = windows.collect();
    checked += windows.len() as u64;
    if all_complete {
        for key in windows {
            let shown = dashboards.shown.get(key).copied().unwrap_or_default();
            let truth = truth.get(key).copied().unwrap_or_default();
            if shown != truth {
                let (window, currency) = *key;
                offences.add_unless_moving(Subject::Window(window), distance(shown, truth), || {
                    let currency =
                        currency.map_or_else(String::new, |word| format!(" in {}", joined.word(word)));
                    format!(
                        "for the {} s from {} on{currency} the dashboards show {}, the audit trail has {}",
                        window.length_s,
                        window.start_s,
                        in_words(joined, shown),
                        in_words(joined, truth)
                    )
                });
            }
        }
    }
    offences.verdict(checked, &HEADLINE)
}

/// Whether the topic was read as far as the claim goes.
fn was_read(joined: &Joined<'_>, claim: &ClaimRow) -> bool {
    let read_up_to = joined.queue.read_up_to(claim.topic, claim.partition);
    read_up_to.map_or(0, |highest| highest.saturating_add(1)) >= claim.end_offset
}

/// What is false about a claim, whatever happens later.
fn lie(joined: &Joined<'_>, dashboards: &Dashboards, claim: &ClaimRow) -> Option<String> {
    let events = dashboards.events_before_end(claim);
    let (build, counted) = (claim.build, claim.counted);
    let place = format!(
        "{} before offset {}",
        partition(joined, claim),
        claim.end_offset
    );
    if counted > events.at_most {
        return Some(format!(
            "build {build} counts {counted} events of {place}, where there are {}",
            events.at_most
        ));
    }
    let events = events.at_least;
    let missing = events.saturating_sub(counted).max(0);
    if claim.complete && missing > 0 {
        return Some(format!(
            "build {build} says that it holds every event of {place}, but counts {counted} of {events}"
        ));
    }
    (missing > claim.behind).then(|| {
        format!(
            "build {build} says that it is {} behind with {place}, but lacks {missing} of {events} events",
            claim.behind
        )
    })
}

fn partition(joined: &Joined<'_>, claim: &ClaimRow) -> String {
    let topic = joined.history.names.topics.text(claim.topic);
    format!("{topic}/{}", claim.partition)
}

fn in_words(joined: &Joined<'_>, figures: Figures) -> String {
    format!(
        "{} placed, {} paid for {}, {} given back",
        figures.placed,
        figures.paid,
        joined.money(figures.revenue_minor),
        figures.refunded
    )
}

/// How many orders are counted wrongly.
fn distance(shown: Figures, truth: Figures) -> u64 {
    [
        (shown.placed, truth.placed),
        (shown.paid, truth.paid),
        (shown.refunded, truth.refunded),
    ]
    .into_iter()
    .map(|(shown, truth)| shown.abs_diff(truth))
    .fold(0, u64::saturating_add)
}
