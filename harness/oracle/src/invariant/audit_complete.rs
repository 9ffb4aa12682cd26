//! `audit-complete`: one audit row for each version of an order, each beginning with the state in which the one before
//! ended, the last ending in the order's state, and every change legal.
//!
//! The row is written with the change, so gaps and illegal changes are judged at any time. Only the newest change may be
//! seen in one table and not yet in the other while the pipeline still moves.

use crate::join::Joined;
use crate::lifecycle;
use crate::names::{Key, Orders, Words};
use crate::row::AuditRow;
use crate::verdict::{Headline, Offences, Subject, Verdict, counted};

const HEADLINE: Headline = Headline {
    of: "orders",
    one: "has an audit trail with a flaw",
    several: "have an audit trail with a flaw",
};

pub(super) fn check(joined: &Joined<'_>) -> Verdict {
    let mut offences = Offences::new(joined);
    let mut legality = Legality::default();
    let mut trail: Vec<&AuditRow> = Vec::new();
    let mut checked = 0;
    for order in joined.orders() {
        trail.clear();
        trail.extend(joined.audit_of(order));
        if joined.order(order).is_none() && trail.is_empty() {
            continue;
        }
        checked += 1;
        if !trail.is_sorted_by_key(|row| row.version) {
            trail.sort_by_key(|row| row.version);
        }
        if let Some(flaw) = flaw_within(joined, &trail, &mut legality) {
            offences.add(Subject::Order(order), 1, || flaw.in_words(joined, order));
        } else if let Some(flaw) = flaw_at_end(joined, order, &trail) {
            offences.add_unless_moving(Subject::Order(order), 1, || flaw.in_words(joined, order));
        }
    }
    offences.verdict(checked, &HEADLINE)
}

/// Changes of state that were already found to be legal: there are few, and an order has several.
#[derive(Default)]
struct Legality(Vec<(Option<Key<Words>>, Key<Words>)>);

impl Legality {
    fn allows(&mut self, joined: &Joined<'_>, row: &AuditRow) -> bool {
        let change = (row.from, row.to);
        if self.0.contains(&change) {
            return true;
        }
        let legal =
            lifecycle::is_legal(row.from.map(|from| joined.word(from)), joined.word(row.to));
        if legal {
            self.0.push(change);
        }
        legal
    }
}

enum Flaw<'h> {
    Missing {
        version: i64,
    },
    Twice {
        version: i64,
    },
    Broken {
        before: &'h AuditRow,
        after: &'h AuditRow,
    },
    Illegal(&'h AuditRow),
    NoOrder {
        rows: usize,
    },
    OtherEnd {
        last: &'h AuditRow,
        state: Key<Words>,
        version: i64,
    },
    Short {
        rows: i64,
        version: i64,
    },
}

/// What is wrong between the rows that are there.
fn flaw_within<'h>(
    joined: &Joined<'h>,
    trail: &[&'h AuditRow],
    legality: &mut Legality,
) -> Option<Flaw<'h>> {
    let mut before: Option<&AuditRow> = None;
    for row in trail {
        let version = before.map_or(1, |before| before.version.saturating_add(1));
        if row.version < version {
            return Some(Flaw::Twice {
                version: row.version,
            });
        }
        if row.version > version {
            return Some(Flaw::Missing { version });
        }
        if let Some(before) = before
            && row.from != Some(before.to)
        {
            return Some(Flaw::Broken { before, after: row });
        }
        if !legality.allows(joined, row) {
            return Some(Flaw::Illegal(row));
        }
        before = Some(row);
    }
    None
}

/// What is wrong between the rows and the order.
fn flaw_at_end<'h>(
    joined: &Joined<'h>,
    order: Key<Orders>,
    trail: &[&'h AuditRow],
) -> Option<Flaw<'h>> {
    let Some(row) = joined.order(order) else {
        return Some(Flaw::NoOrder { rows: trail.len() });
    };
    let version = row.version;
    match trail.last() {
        None => Some(Flaw::Short { rows: 0, version }),
        Some(last) if last.version < version => Some(Flaw::Short {
            rows: last.version,
            version,
        }),
        Some(last) if last.version > version || last.to != row.state => Some(Flaw::OtherEnd {
            last,
            state: row.state,
            version,
        }),
        Some(_) => None,
    }
}

impl Flaw<'_> {
    fn in_words(&self, joined: &Joined<'_>, order: Key<Orders>) -> String {
        let id = joined.order_id(order);
        let word = |state: Key<Words>| joined.word(state);
        match self {
            Self::Missing { version } => {
                format!("order {id} has no audit row for version {version}")
            }
            Self::Twice { version } => {
                format!("order {id} has more than one audit row for version {version}")
            }
            Self::Broken { before, after } => format!(
                "order {id} became {} with version {}, yet version {} says that it was {}",
                word(before.to),
                before.version,
                after.version,
                after.from.map_or("not there", word)
            ),
            Self::Illegal(row) => format!(
                "order {id} went from {} to {} with version {}, which is no legal change",
                row.from.map_or("nothing", word),
                word(row.to),
                row.version
            ),
            Self::NoOrder { rows } => {
                format!(
                    "order {id} has {} but is not in the order table",
                    counted(*rows as u64, "audit row")
                )
            }
            Self::OtherEnd {
                last,
                state,
                version,
            } => format!(
                "order {id} is {} with version {version}, its last audit row says {} with version {}",
                word(*state),
                word(last.to),
                last.version
            ),
            Self::Short { rows, version } => {
                format!("order {id} has version {version}, its audit trail ends at version {rows}")
            }
        }
    }
}
