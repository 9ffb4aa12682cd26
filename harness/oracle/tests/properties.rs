//! Properties: a healthy history is never found violated, whatever was bought and however it is ordered; every known way
//! of breaking one is caught under the right name; nothing that is missing counts as kept; nothing crashes a check.

mod pipeline;

use firedrill_oracle::record::{FactKind, Look, Outcome, Settlement};
use firedrill_oracle::{DrillVerdict, Expectation, Fact, History, Judgement, Record, judge};
use pipeline::{Answers, Fate, PRODUCTS, Purchase, journal, reseal};
use proptest::prelude::*;
use proptest::sample::Index;

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Fulfilled),
        1 => Just(Fate::Declined),
        2 => Just(Fate::OutOfStock),
        1 => Just(Fate::Cancelled),
        1 => Just(Fate::CancelledAndDeclined),
        1 => Just(Fate::CancelledButCharged),
    ]
}

fn answers() -> impl Strategy<Value = Answers> {
    prop_oneof![
        4 => Just(Answers::Done),
        1 => Just(Answers::UnknownThenDone),
        1 => Just(Answers::RefusedThenDone),
        1 => Just(Answers::DoneTwice),
        1 => Just(Answers::UnknownButHappened),
        1 => Just(Answers::UnknownAndNothing),
        1 => Just(Answers::RefusedTwice),
    ]
}

fn purchase() -> impl Strategy<Value = Purchase> {
    let lines = prop::collection::vec((0..PRODUCTS, 1..4_i64), 1..4);
    (
        lines,
        fate(),
        answers(),
        any::<bool>(),
        prop::bool::weighted(0.1),
    )
        .prop_map(
            |(lines, fate, answers, published_twice, after_poison)| Purchase {
                lines,
                fate,
                answers,
                published_twice,
                after_poison,
            },
        )
}

/// Any mix, but one order of each kind is always there, so that every way of breaking finds something to break.
fn purchases() -> impl Strategy<Value = Vec<Purchase>> {
    let plain = |fate| Purchase {
        lines: vec![(0, 2), (1, 1)],
        fate,
        answers: Answers::Done,
        published_twice: false,
        after_poison: false,
    };
    prop::collection::vec(purchase(), 0..30).prop_map(move |mut purchases| {
        purchases.push(plain(Fate::Fulfilled));
        purchases.push(plain(Fate::OutOfStock));
        purchases
    })
}

fn judged(journal: Vec<Record>) -> Judgement {
    judge(&History::from_records(journal))
}

fn found(judgement: &Judgement, name: &str) -> bool {
    judgement
        .findings
        .iter()
        .any(|finding| finding.name == name)
}

/// A way of breaking a healthy history, and the promise that it breaks.
type Mutation = (&'static str, fn(&mut Vec<Record>, &Index));

const MUTATIONS: [Mutation; 30] = [
    ("accepted-order-never-lost", |journal, at| {
        let accepted = accepted_orders(journal);
        let lost = at.get(&accepted).clone();
        journal.retain(|record| !matches!(record, Record::Fact(Fact::Order { order_id, .. }) if *order_id == lost));
    }),
    ("accepted-order-never-lost", |journal, at| {
        let accepted = accepted_orders(journal);
        let lost = at.get(&accepted).clone();
        drop_one(
            journal,
            at,
            |fact| matches!(fact, Fact::OrderLine { order_id, .. } if *order_id == lost),
        );
    }),
    ("accepted-order-never-lost", |journal, at| {
        let accepted = accepted_orders(journal);
        let lost = at.get(&accepted).clone();
        change_one(journal, at, |fact| match fact {
            Fact::Order {
                order_id,
                reference,
                ..
            } if *order_id == lost => {
                reference.push_str("-other");
                true
            }
            _ => false,
        });
    }),
    ("no-duplicate-charge", |journal, at| {
        copy_one(journal, at, |fact| match fact {
            Fact::Charge { charge_id, .. } => {
                charge_id.push_str("-again");
                true
            }
            _ => false,
        });
    }),
    ("no-charge-without-order", |journal, at| {
        drop_one(journal, at, |fact| matches!(fact, Fact::Refund { .. }));
    }),
    ("no-charge-without-order", |journal, at| {
        let fulfilled = orders_in(journal, "fulfilled");
        drop_one(
            journal,
            at,
            |fact| matches!(fact, Fact::Charge { order_id, .. } if fulfilled.contains(order_id)),
        );
    }),
    ("no-charge-without-order", |journal, at| {
        change_one(journal, at, |fact| match fact {
            Fact::Charge { amount_minor, .. } => {
                *amount_minor += 1;
                true
            }
            _ => false,
        });
    }),
    ("no-charge-without-order", |journal, at| {
        copy_one(journal, at, |fact| match fact {
            Fact::Refund { refund_id, .. } => {
                refund_id.push_str("-again");
                true
            }
            _ => false,
        });
    }),
    ("every-order-final", |journal, at| {
        change_one(journal, at, |fact| match fact {
            Fact::Order { is_final, .. } => {
                *is_final = false;
                true
            }
            _ => false,
        });
    }),
    ("stock-never-negative", |journal, at| {
        change_one(journal, at, |fact| match fact {
            Fact::StockMove { on_hand_after, .. } => {
                *on_hand_after = -1;
                true
            }
            _ => false,
        });
    }),
    ("stock-adds-up", |journal, at| {
        change_one(journal, at, |fact| match fact {
            Fact::Stock { on_hand, .. } => {
                *on_hand -= 1;
                true
            }
            _ => false,
        });
    }),
    ("stock-adds-up", |journal, at| {
        drop_one(journal, at, |fact| matches!(fact, Fact::StockMove { .. }));
    }),
    ("no-double-decrement", |journal, at| {
        drop_one(journal, at, |fact| matches!(fact, Fact::StockMove { .. }));
    }),
    ("no-double-decrement", |journal, at| {
        copy_one(journal, at, |fact| match fact {
            Fact::StockMove { sequence, .. } => {
                *sequence += 1_000_000;
                true
            }
            _ => false,
        });
    }),
    ("audit-complete", |journal, at| {
        drop_one(journal, at, |fact| matches!(fact, Fact::AuditEntry { .. }));
    }),
    ("audit-complete", |journal, at| {
        change_one(journal, at, |fact| match fact {
            Fact::AuditEntry { to_state, .. } => {
                to_state.push_str("_elsewhere");
                true
            }
            _ => false,
        });
    }),
    ("every-message-accounted", |journal, at| {
        drop_one(journal, at, |fact| {
            matches!(fact, Fact::Processed { .. } | Fact::Parked { .. })
        });
    }),
    ("dashboards-true", |journal, at| {
        change_one(journal, at, |fact| match fact {
            Fact::DashboardRow { paid, .. } => {
                *paid += 1;
                true
            }
            _ => false,
        });
    }),
    ("dashboards-true", |journal, at| {
        change_one(journal, at, |fact| match fact {
            Fact::DashboardRow { window_start_s, .. } => {
                *window_start_s += 5_000_000;
                true
            }
            _ => false,
        });
    }),
    ("dashboards-true", |journal, at| {
        drop_one(journal, at, |fact| {
            matches!(fact, Fact::DashboardRow { .. })
        });
    }),
    ("dashboards-true", |journal, at| {
        change_one(journal, at, |fact| match fact {
            Fact::DashboardClaim { counted, .. } if *counted > 0 => {
                *counted -= 1;
                true
            }
            _ => false,
        });
    }),
    ("dashboards-true", |journal, at| {
        change_one(journal, at, |fact| match fact {
            Fact::DashboardClaim { complete, .. } => {
                *complete = false;
                true
            }
            _ => false,
        });
    }),
    ("refused-leaves-no-trace", |journal, at| {
        let accepted = accepted_orders(journal);
        let refused = at.get(&accepted).clone();
        let references: Vec<_> = journal
            .iter()
            .filter_map(|record| match record {
                Record::Fact(Fact::Order {
                    order_id,
                    reference,
                    ..
                }) if *order_id == refused => Some(reference.clone()),
                _ => None,
            })
            .collect();
        for record in journal {
            if let Record::Operation(operation) = record
                && references.contains(&operation.reference)
            {
                operation.outcome = Outcome::Refused {
                    reason: "503".to_owned(),
                };
            }
        }
    }),
    ("amount-is-price-shown", |journal, at| {
        let accepted = accepted_orders(journal);
        let shown_less = at.get(&accepted).clone();
        for record in journal {
            if let Record::Operation(operation) = record
                && matches!(&operation.outcome, Outcome::Done { order_id } if *order_id == shown_less)
            {
                operation.amount_minor -= 1;
            }
        }
    }),
    ("amount-is-price-shown", |journal, at| {
        change_one(journal, at, |fact| match fact {
            Fact::Charge { amount_minor, .. } => {
                *amount_minor += 1;
                true
            }
            _ => false,
        });
    }),
    ("told-once", |journal, at| {
        drop_one(journal, at, |fact| matches!(fact, Fact::Told { .. }));
    }),
    ("told-once", |journal, at| {
        copy_one(journal, at, |fact| match fact {
            Fact::Told { message_id, .. } => {
                message_id.push_str("-again");
                true
            }
            _ => false,
        });
    }),
    ("told-after-payment", |journal, at| {
        change_one(journal, at, |fact| match fact {
            Fact::Told { kind, at_us, .. } if kind == "paid" => {
                *at_us -= 50_000;
                true
            }
            _ => false,
        });
    }),
    ("status-never-goes-backwards", |journal, at| {
        let is_look = |position: &usize| matches!(journal[*position], Record::Look(_));
        let looks: Vec<usize> = (0..journal.len()).filter(is_look).collect();
        let position = *at.get(&looks);
        if let Record::Look(look) = journal[position].clone() {
            journal.insert(
                position,
                Record::Look(Look {
                    asked_us: u64::MAX - 1,
                    answered_us: u64::MAX,
                    state: "placed".to_owned(),
                    version: look.version.map(|_| 1),
                    ..look
                }),
            );
        }
    }),
    ("told-after-payment", |journal, at| {
        let fulfilled = orders_in(journal, "fulfilled");
        let never = at.get(&fulfilled).clone();
        journal.retain(
            |record| !matches!(record, Record::Fact(Fact::Charge { order_id, .. }) if *order_id == never),
        );
    }),
];

fn accepted_orders(journal: &[Record]) -> Vec<String> {
    journal
        .iter()
        .filter_map(|record| match record {
            Record::Operation(operation) => match &operation.outcome {
                Outcome::Done { order_id } => Some(order_id.clone()),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

fn orders_in(journal: &[Record], wanted: &str) -> Vec<String> {
    journal
        .iter()
        .filter_map(|record| match record {
            Record::Fact(Fact::Order {
                order_id, state, ..
            }) if state == wanted => Some(order_id.clone()),
            _ => None,
        })
        .collect()
}

fn positions(journal: &[Record], is_meant: impl Fn(&Fact) -> bool) -> Vec<usize> {
    let is_meant = |record: &Record| matches!(record, Record::Fact(fact) if is_meant(fact));
    (0..journal.len())
        .filter(|position| is_meant(&journal[*position]))
        .collect()
}

fn drop_one(journal: &mut Vec<Record>, at: &Index, is_meant: impl Fn(&Fact) -> bool) {
    let position = *at.get(&positions(journal, is_meant));
    journal.remove(position);
    reseal(journal);
}

/// Changes one of the facts for which `change` does something.
fn change_one(journal: &mut [Record], at: &Index, change: impl Fn(&mut Fact) -> bool) {
    let position = *at.get(&positions(journal, |fact| change(&mut fact.clone())));
    if let Record::Fact(fact) = &mut journal[position] {
        change(fact);
    }
}

/// Adds a changed copy of one of the facts for which `change` does something.
fn copy_one(journal: &mut Vec<Record>, at: &Index, change: impl Fn(&mut Fact) -> bool) {
    let position = *at.get(&positions(journal, |fact| change(&mut fact.clone())));
    let mut copy = journal[position].clone();
    if let Record::Fact(fact) = &mut copy {
        change(fact);
    }
    journal.insert(position + 1, copy);
    reseal(journal);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn a_healthy_history_is_never_violated(purchases in purchases()) {
        let judgement = judged(journal(&purchases));
        prop_assert_eq!(judgement.verdict, DrillVerdict::Passed, "{:#?}", judgement);
        let orders = judgement.orders;
        prop_assert_eq!(orders.attempted, purchases.len() as u64);
        prop_assert_eq!(orders.attempted, orders.accepted + orders.refused + orders.unknown);
        prop_assert_eq!(orders.unfinished, 0);
        prop_assert_eq!(orders.paid, orders.fulfilled);
    }

    #[test]
    fn the_order_in_which_facts_are_read_changes_nothing(purchases in purchases(), seed in any::<u64>()) {
        let mut journal = journal(&purchases);
        let last = journal.len() - 1;
        let key = |position: usize| (position as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 13;
        let mut order: Vec<usize> = (1..last).collect();
        order.sort_by_key(|position| key(*position));
        let mut shuffled = vec![journal[0].clone()];
        shuffled.extend(order.iter().map(|position| journal[*position].clone()));
        shuffled.push(journal.swap_remove(last));
        prop_assert_eq!(judged(shuffled).verdict, DrillVerdict::Passed);
    }

    #[test]
    fn every_known_way_of_breaking_is_caught(purchases in purchases(), at in any::<Index>(), which in 0..MUTATIONS.len()) {
        let mut journal = journal(&purchases);
        let (name, mutate) = MUTATIONS[which];
        mutate(&mut journal, &at);
        reseal(&mut journal);
        let judgement = judged(journal);
        prop_assert!(found(&judgement, name), "{} was not found by mutation {}: {:#?}", name, which, judgement);
        prop_assert_eq!(judgement.verdict, DrillVerdict::Violated);
    }

    #[test]
    fn a_journal_that_is_cut_off_is_no_pass(purchases in purchases(), at in any::<Index>()) {
        let mut journal = journal(&purchases);
        journal.truncate(at.index(journal.len()));
        let judgement = judged(journal);
        prop_assert_eq!(judgement.verdict, DrillVerdict::Undetermined);
    }

    #[test]
    fn a_journal_that_misses_any_line_is_no_pass(purchases in purchases(), at in any::<Index>()) {
        let mut journal = journal(&purchases);
        // The kinds a group acts upon, what would be told of a state that no order came to, single attempts and looks, and
        // what only a scenario's own expectations ask for are the only lines that a journal can do without.
        let needed: Vec<usize> = (0..journal.len())
            .filter(|position| !matches!(journal[*position], Record::Operation(_) | Record::Look(_) | Record::Consumes { .. } | Record::Tells { .. }))
            .filter(|position| !matches!(journal[*position], Record::Observed { kind: FactKind::ProviderRequests | FactKind::ShownStock, .. }))
            .collect();
        journal.remove(*at.get(&needed));
        let judgement = judged(journal);
        prop_assert_ne!(judgement.verdict, DrillVerdict::Passed);
    }

    #[test]
    fn a_journal_says_the_same_when_it_is_read_again(purchases in purchases(), at in any::<Index>(), which in 0..MUTATIONS.len()) {
        let mut journal = journal(&purchases);
        MUTATIONS[which].1(&mut journal, &at);
        reseal(&mut journal);
        let text: String = journal.iter().map(|record| serde_json::to_string(record).unwrap() + "\n").collect();
        let again = judge(&History::from_journal(&text).unwrap());
        prop_assert_eq!(again, judged(journal));
    }

    #[test]
    fn no_history_crashes_a_check(journal in prop::collection::vec(any_record(), 0..60)) {
        let mut journal = journal;
        let healthy = self::journal(&[]);
        journal.insert(0, healthy[0].clone());
        journal.extend(healthy.into_iter().filter(|record| matches!(record, Record::Observed { .. } | Record::Closed { .. })));
        reseal(&mut journal);
        let judgement = judged(journal);
        prop_assert!(!judgement.reasons.iter().any(|reason| reason.sentence.contains("crashed")), "{:#?}", judgement);
        prop_assert!(!judgement.checks.is_empty(), "{:#?}", judgement);
    }
}

/// Any record over few names and extreme numbers.
fn any_record() -> impl Strategy<Value = Record> {
    let name = || {
        prop_oneof![
            Just("a"),
            Just("b"),
            Just("paid"),
            Just("fulfilled"),
            Just("")
        ]
        .prop_map(str::to_owned)
    };
    let number = || prop_oneof![3 => -3..4_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    let maybe = move || prop::option::of(name());
    let order = (
        name(),
        name(),
        name(),
        any::<bool>(),
        number(),
        number(),
        maybe(),
    )
        .prop_map(
            |(order_id, reference, state, is_final, amount_minor, version, currency)| Fact::Order {
                order_id,
                reference,
                state,
                is_final,
                amount_minor,
                version,
                currency,
            },
        );
    let line =
        (name(), name(), number()).prop_map(|(order_id, product_id, quantity)| Fact::OrderLine {
            order_id,
            product_id,
            quantity,
        });
    let audit = (
        name(),
        number(),
        maybe(),
        name(),
        prop::option::of(number()),
    )
        .prop_map(
            |(order_id, version, from_state, to_state, at_ms)| Fact::AuditEntry {
                order_id,
                version,
                from_state,
                to_state,
                at_ms,
            },
        );
    let charge = (
        name(),
        name(),
        number(),
        maybe(),
        maybe(),
        prop::option::of(number()),
    )
        .prop_map(
            |(charge_id, order_id, amount_minor, idempotency_key, currency, at_us)| Fact::Charge {
                charge_id,
                order_id,
                amount_minor,
                idempotency_key,
                currency,
                at_us,
            },
        );
    let told = (name(), name(), name(), name(), name(), number()).prop_map(
        |(message_id, order_id, kind, channel, recipient, at_us)| Fact::Told {
            message_id,
            order_id,
            kind,
            channel,
            recipient,
            at_us,
        },
    );
    let refund = (name(), name(), name(), number()).prop_map(
        |(refund_id, charge_id, order_id, amount_minor)| Fact::Refund {
            refund_id,
            charge_id,
            order_id,
            amount_minor,
        },
    );
    let stock =
        (name(), number(), number()).prop_map(|(product_id, initial, on_hand)| Fact::Stock {
            product_id,
            initial,
            on_hand,
        });
    let step = (number(), name(), name(), number(), number()).prop_map(
        |(sequence, order_id, product_id, quantity, on_hand_after)| Fact::StockMove {
            sequence,
            order_id,
            product_id,
            quantity,
            on_hand_after,
        },
    );
    let message = (name(), any::<i32>(), number(), maybe(), maybe(), maybe()).prop_map(
        |(topic, partition, offset, message_id, order_id, kind)| Fact::Message {
            topic,
            partition,
            offset,
            message_id,
            order_id,
            kind,
        },
    );
    let progress = (name(), name(), any::<i32>(), number(), number()).prop_map(
        |(group, topic, partition, committed, end)| Fact::Progress {
            group,
            topic,
            partition,
            committed,
            end,
        },
    );
    let parked = (name(), name(), any::<i32>(), number(), name()).prop_map(
        |(group, topic, partition, offset, reason)| Fact::Parked {
            group,
            topic,
            partition,
            offset,
            reason,
        },
    );
    let row = (
        number(),
        number(),
        name(),
        number(),
        number(),
        number(),
        number(),
    )
        .prop_map(
            |(window_start_s, window_s, currency, placed, paid, refunded, revenue_minor)| {
                Fact::DashboardRow {
                    window_start_s,
                    window_s,
                    currency,
                    placed,
                    paid,
                    refunded,
                    revenue_minor,
                }
            },
        );
    let claim = (
        number(),
        name(),
        name(),
        any::<bool>(),
        number(),
        number(),
        number(),
    )
        .prop_map(
            |(build, group, topic, complete, counted, behind, end_offset)| Fact::DashboardClaim {
                build,
                group,
                topic,
                partition: 0,
                complete,
                counted,
                behind,
                end_offset,
            },
        );
    let fact = prop_oneof![
        order, line, audit, charge, refund, stock, step, message, progress, parked, told, row,
        claim
    ];
    let time = || prop_oneof![3 => 0..4_u64, 1 => Just(u64::MAX)];
    let look = (
        name(),
        name(),
        time(),
        time(),
        name(),
        prop::option::of(number()),
    )
        .prop_map(
            |(order_id, customer, asked_us, answered_us, state, version)| {
                Record::Look(Look {
                    order_id,
                    customer,
                    asked_us,
                    answered_us,
                    state,
                    version,
                })
            },
        );
    let settled = prop_oneof![
        Just(Settlement::Settled),
        Just(Settlement::Stuck),
        Just(Settlement::TimedOut)
    ];
    prop_oneof![
        20 => fact.prop_map(Record::Fact),
        4 => look,
        1 => (name(), name(), name()).prop_map(|(group, kind, channel)| Record::Tells {
            group,
            kind,
            channels: vec![channel],
        }),
        1 => settled.prop_map(|outcome| Record::Settled { at_us: u64::MAX, outcome, outstanding: Vec::new() }),
        1 => (name(), number()).prop_map(|(product, exactly)| Record::Expectation(Expectation::UnitsSold {
            product_id: Some(product).filter(|name| !name.is_empty()),
            exactly,
        })),
    ]
}

fn any_verdict() -> impl Strategy<Value = DrillVerdict> {
    prop::sample::select(&DrillVerdict::ALL[..])
}

proptest! {
    #[test]
    fn verdicts_merge_in_any_order_and_grouping(a in any_verdict(), b in any_verdict(), c in any_verdict()) {
        prop_assert_eq!(a.merge(b), b.merge(a));
        prop_assert_eq!(a.merge(b).merge(c), a.merge(b.merge(c)));
        prop_assert_eq!(a.merge(a), a);
        prop_assert_eq!(DrillVerdict::merge_all([a, b, c]), Some(a.merge(b).merge(c)));
    }

    #[test]
    fn what_went_wrong_prevails(verdicts in prop::collection::vec(any_verdict(), 1..20)) {
        let precedence = [
            DrillVerdict::HarnessError, DrillVerdict::Violated, DrillVerdict::NotRecovered, DrillVerdict::FaultNotFelt,
            DrillVerdict::Undetermined, DrillVerdict::Passed, DrillVerdict::Skipped,
        ];
        let expected = precedence.into_iter().find(|verdict| verdicts.contains(verdict));
        let merged = DrillVerdict::merge_all(verdicts.iter().copied());
        prop_assert_eq!(merged, expected);
        let all_passed = verdicts.iter().all(|verdict| matches!(verdict, DrillVerdict::Passed | DrillVerdict::Skipped));
        let is_success = merged.map(DrillVerdict::exit_code) == Some(0);
        prop_assert_eq!(is_success, all_passed && verdicts.contains(&DrillVerdict::Passed));
    }
}
