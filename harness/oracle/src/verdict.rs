//! What a check says about a history, and the evidence it gives.

use serde::{Deserialize, Serialize};

use crate::join::Joined;
use crate::names::{Intents, Key, Orders, Products, Topics};
use crate::row::{Place, Window};
use crate::story;

/// How many subjects of a violation are named; all are counted.
pub const SUBJECTS_NAMED: usize = 20;

/// What a check says about a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The promise was kept.
    Holds {
        /// How many subjects were looked at.
        checked: u64,
    },
    /// The promise was broken.
    Violated(Evidence),
    /// Nothing can be said.
    Undetermined {
        /// Why not, in words.
        reason: String,
    },
}

/// What shows that a promise was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// How often it was broken.
    pub count: u64,
    /// How many subjects were looked at.
    pub checked: u64,
    /// What broke, in one sentence, with the first subject as its example.
    pub sentence: String,
    /// The worst case, if it is worse than the first.
    pub worst: Option<String>,
    /// The subjects concerned, the first [`SUBJECTS_NAMED`] of them: `order 0192...`, `product p-0007`.
    pub subjects: Vec<String>,
    /// The life of the first subject, one line for each thing that happened to it.
    pub story: Vec<String>,
}

/// What a promise is broken for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject {
    Order(Key<Orders>),
    Intent(Key<Intents>),
    Product(Key<Products>),
    /// A message, and the order it speaks of.
    Message(Place, Option<Key<Orders>>),
    /// A window of the dashboards.
    Window(Window),
    /// A partition of the topic that the dashboards are made from.
    Partition(Key<Topics>, i32),
}

impl Subject {
    pub(crate) fn name(self, joined: &Joined<'_>) -> String {
        match self {
            Self::Order(order) => format!("order {}", joined.order_id(order)),
            Self::Intent(intent) => format!("reference {}", joined.reference(intent)),
            Self::Product(product) => format!("product {}", joined.product_id(product)),
            Self::Message(place, _) => format!("message {}", story::place(joined, place)),
            Self::Window(window) => format!("window {}", window.start_s),
            Self::Partition(topic, partition) => format!(
                "partition {}/{partition}",
                joined.history.names.topics.text(topic)
            ),
        }
    }
}

/// Words around the count of a violation: `3 of 396 [purchases] [were charged more than once]: ...`.
pub(crate) struct Headline {
    /// What was looked at, in the plural.
    pub(crate) of: &'static str,
    /// What broke, said of one.
    pub(crate) one: &'static str,
    /// What broke, said of several.
    pub(crate) several: &'static str,
}

/// Collects what breaks a promise. Only the first and the worst case are put into words.
pub(crate) struct Offences<'j, 'h> {
    joined: &'j Joined<'h>,
    count: u64,
    subjects: Vec<Subject>,
    first: Option<(u64, String)>,
    worst: Option<(u64, String)>,
    moving: u64,
    first_moving: Option<String>,
}

impl<'j, 'h> Offences<'j, 'h> {
    pub(crate) fn new(joined: &'j Joined<'h>) -> Self {
        Self {
            joined,
            count: 0,
            subjects: Vec::new(),
            first: None,
            worst: None,
            moving: 0,
            first_moving: None,
        }
    }

    /// Notes what no later event can make good again. `weight` says how bad it is.
    pub(crate) fn add(&mut self, subject: Subject, weight: u64, sentence: impl FnOnce() -> String) {
        self.count += 1;
        if self.subjects.len() < SUBJECTS_NAMED {
            self.subjects.push(subject);
        }
        match (&self.first, &self.worst) {
            (None, _) => self.first = Some((weight, sentence())),
            (Some((first, _)), None) if weight > *first => self.worst = Some((weight, sentence())),
            (_, Some((worst, _))) if weight > *worst => self.worst = Some((weight, sentence())),
            _ => {}
        }
    }

    /// Notes what breaks the promise if it stays so: when the pipeline had not come to rest it is only still moving.
    pub(crate) fn add_unless_moving(
        &mut self,
        subject: Subject,
        weight: u64,
        sentence: impl FnOnce() -> String,
    ) {
        if self.joined.is_at_rest() {
            self.add(subject, weight, sentence);
            return;
        }
        self.moving += 1;
        if self.first_moving.is_none() {
            self.first_moving = Some(sentence());
        }
    }

    /// The verdict after `checked` subjects were looked at.
    pub(crate) fn verdict(self, checked: u64, headline: &Headline) -> Verdict {
        let Some((_, first)) = self.first else {
            return match self.first_moving {
                None => Verdict::Holds { checked },
                Some(moving) => Verdict::Undetermined {
                    reason: format!(
                        "the pipeline had not come to rest, {} of {checked} {} may still change: {moving}",
                        self.moving, headline.of
                    ),
                },
            };
        };
        let broke = if self.count == 1 {
            headline.one
        } else {
            headline.several
        };
        Verdict::Violated(Evidence {
            count: self.count,
            checked,
            sentence: format!(
                "{} of {checked} {} {broke}: {first}",
                self.count, headline.of
            ),
            worst: self.worst.map(|(_, sentence)| sentence),
            subjects: self
                .subjects
                .iter()
                .map(|subject| subject.name(self.joined))
                .collect(),
            story: self
                .subjects
                .first()
                .map_or_else(Vec::new, |subject| story::of_subject(self.joined, *subject)),
        })
    }
}

/// A count with its noun: `1 charge`, `2 charges`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    if count == 1 {
        format!("{count} {noun}")
    } else {
        format!("{count} {noun}s")
    }
}
