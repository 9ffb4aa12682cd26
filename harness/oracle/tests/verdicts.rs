//! What makes a drill's verdict beside the invariants: faults that were not felt, errors of the harness, a pipeline that
//! does not come to rest, journals that are not whole, and the scenario's own expectations.

#[allow(dead_code, reason = "other tests use the rest")]
mod pipeline;

use firedrill_oracle::record::{FactKind, Operation, Outcome, Settlement};
use firedrill_oracle::verdict::SUBJECTS_NAMED;
use firedrill_oracle::{
    DrillVerdict, Expectation, Fact, History, Judgement, LineError, Record, judge, parse_line,
    story,
};
use pipeline::{Answers, Fate, Purchase, journal, reseal};

/// 40 purchases: 2 out of stock, 1 refused, the others fulfilled with 2 units of p-0000 and 1 of p-0001.
fn healthy() -> Vec<Record> {
    let purchases: Vec<_> = (0..40)
        .map(|number| Purchase {
            lines: vec![(0, 2), (1, 1)],
            fate: if number < 2 {
                Fate::OutOfStock
            } else {
                Fate::Fulfilled
            },
            answers: if number == 39 {
                Answers::RefusedTwice
            } else {
                Answers::Done
            },
            published_twice: false,
            after_poison: number == 20,
        })
        .collect();
    journal(&purchases)
}

/// Before the last line, where records of any kind may stand.
fn with(mut journal: Vec<Record>, records: impl IntoIterator<Item = Record>) -> Vec<Record> {
    let last = journal.len() - 1;
    journal.splice(last..last, records);
    journal
}

fn judged(journal: Vec<Record>) -> Judgement {
    judge(&History::from_records(journal))
}

fn started(fault: &str) -> Record {
    Record::FaultStarted {
        at_us: 1,
        fault: fault.to_owned(),
        target: "payment-service -> payment-provider".to_owned(),
        parameters: serde_json::json!({}),
    }
}

fn felt(fault: &str, count: u64, at_least: u64) -> Record {
    Record::FaultFelt {
        at_us: 2,
        fault: fault.to_owned(),
        witness: "charges without an answer".to_owned(),
        count,
        at_least,
    }
}

#[test]
fn a_fault_must_be_felt_as_often_as_it_says_and_once_at_least() {
    let verdict = |records: Vec<Record>| judged(with(healthy(), records)).verdict;
    assert_eq!(verdict(vec![started("cut")]), DrillVerdict::FaultNotFelt);
    assert_eq!(
        verdict(vec![started("cut"), felt("cut", 9, 10)]),
        DrillVerdict::FaultNotFelt
    );
    assert_eq!(
        verdict(vec![started("cut"), felt("cut", 0, 0)]),
        DrillVerdict::FaultNotFelt
    );
    assert_eq!(
        verdict(vec![started("cut"), felt("other", 5, 1)]),
        DrillVerdict::FaultNotFelt
    );
    assert_eq!(
        verdict(vec![started("cut"), felt("cut", 10, 10)]),
        DrillVerdict::Passed
    );
    // The last reading decides.
    assert_eq!(
        verdict(vec![
            started("cut"),
            felt("cut", 0, 10),
            felt("cut", 12, 10)
        ]),
        DrillVerdict::Passed
    );
}

#[test]
fn what_was_felt_is_told() {
    let judgement = judged(with(healthy(), [started("cut"), felt("cut", 3, 10)]));
    assert_eq!(judgement.felt.len(), 1);
    assert_eq!(
        (judgement.felt[0].count, judgement.felt[0].at_least),
        (3, 10)
    );
    assert_eq!(
        judgement.reasons[0].sentence,
        "the fault \"cut\" was felt 3 times (charges without an answer), at least 10 were needed"
    );
}

#[test]
fn a_fault_is_left_alone_or_it_is_not() {
    let bounded = |at_most| {
        Record::Expectation(Expectation::FaultFelt {
            fault: "cut".to_owned(),
            at_most,
        })
    };
    let judged_with = |records: Vec<Record>| judged(with(healthy(), records)).verdict;
    let twice = |at_most| vec![started("cut"), felt("cut", 3, 1), bounded(at_most)];
    assert_eq!(judged_with(twice(3)), DrillVerdict::Passed);
    assert_eq!(judged_with(twice(2)), DrillVerdict::Violated);
    let nobody = vec![bounded(3)];
    assert_eq!(judged_with(nobody), DrillVerdict::Undetermined);
}

#[test]
fn whoever_believes_what_a_fault_shows_has_trusted_somebody_else() {
    let trusted = |count| Record::FaultTrusted {
        at_us: 2,
        fault: "masked".to_owned(),
        count,
    };
    let nobody = || {
        Record::Expectation(Expectation::NobodyTrusted {
            fault: "masked".to_owned(),
        })
    };
    let judged_with = |records: Vec<Record>| {
        let fault = [started("masked"), felt("masked", 3, 1), nobody()];
        judged(with(healthy(), fault.into_iter().chain(records)))
    };
    assert_eq!(judged_with(vec![trusted(0)]).verdict, DrillVerdict::Passed);
    let uncounted = judged_with(Vec::new()).verdict;
    assert_eq!(uncounted, DrillVerdict::Undetermined);
    // The same fault was in force twice.
    let judgement = judged_with(vec![trusted(2), trusted(0)]);
    assert_eq!(judgement.verdict, DrillVerdict::Violated);
    assert_eq!(judgement.findings[0].name, "nobody-trusted");
    assert_eq!(judgement.findings[0].count, 2);
}

#[test]
fn errors_of_the_harness_prevail() {
    let mut broken = healthy();
    broken.retain(|record| !matches!(record, Record::Fact(Fact::Charge { .. })));
    reseal(&mut broken);
    assert_eq!(judged(broken.clone()).verdict, DrillVerdict::Violated);
    let error = Record::HarnessError {
        at_us: 3,
        message: "the proxy died".to_owned(),
    };
    assert_eq!(
        judged(with(broken, [error])).verdict,
        DrillVerdict::HarnessError
    );

    let healing = |error: Option<&str>| Record::FaultHealed {
        at_us: 4,
        fault: "cut".to_owned(),
        error: error.map(str::to_owned),
    };
    let records = [started("cut"), felt("cut", 1, 1)];
    let healed = with(with(healthy(), records.clone()), [healing(None)]);
    assert_eq!(judged(healed).verdict, DrillVerdict::Passed);
    let not_healed = with(
        with(healthy(), records),
        [healing(Some("connection refused"))],
    );
    assert_eq!(
        judged(not_healed.clone()).verdict,
        DrillVerdict::HarnessError
    );
    let sentence = r#"the fault "cut" could not be healed: connection refused"#;
    let ended_by_it = Record::HarnessError {
        at_us: 4,
        message: sentence.to_owned(),
    };
    let judgement = judged(with(not_healed, [ended_by_it]));
    let sentences = judgement.reasons.iter().map(|reason| &*reason.sentence);
    assert_eq!(sentences.collect::<Vec<_>>(), [sentence], "said once");
}

#[test]
fn a_pipeline_that_does_not_come_to_rest_has_not_recovered() {
    for (outcome, expected) in [
        (Settlement::Settled, DrillVerdict::Passed),
        (Settlement::Stuck, DrillVerdict::NotRecovered),
        (Settlement::TimedOut, DrillVerdict::NotRecovered),
    ] {
        let settled = Record::Settled {
            at_us: 5,
            outcome,
            outstanding: vec!["lag 3".to_owned()],
        };
        assert_eq!(
            judged(with(healthy(), [settled])).verdict,
            expected,
            "{outcome:?}"
        );
    }
    let mut unsaid = healthy();
    unsaid.retain(|record| !matches!(record, Record::Settled { .. }));
    assert_eq!(judged(unsaid).verdict, DrillVerdict::Undetermined);
}

#[test]
fn a_drill_in_which_nobody_attempts_anything_shows_nothing() {
    assert_eq!(judged(journal(&[])).verdict, DrillVerdict::Undetermined);
}

#[test]
fn a_journal_with_more_than_its_end_or_other_counts_is_not_judged() {
    let mut journal = healthy();
    journal.push(started("late"));
    let judgement = judged(journal);
    assert_eq!(judgement.verdict, DrillVerdict::FaultNotFelt);
    assert!(judgement.checks.is_empty());

    let mut journal = healthy();
    let charge = journal
        .iter()
        .position(|record| matches!(record, Record::Fact(Fact::Charge { .. })));
    journal.remove(charge.unwrap());
    let judgement = judged(journal);
    assert_eq!(judgement.verdict, DrillVerdict::Undetermined);
    assert!(
        judgement.findings.is_empty(),
        "a record that is missing is no finding about the system"
    );
}

#[test]
fn a_kind_that_was_not_observed_leaves_its_promises_open() {
    for kind in FactKind::ALL {
        let unread = Record::Observed {
            at_us: 6,
            kind,
            source: "order-service".to_owned(),
            rows: 0,
            error: Some("connection refused".to_owned()),
        };
        let judgement = judged(with(healthy(), [unread]));
        // Nothing but an expectation needs the requests to the provider and what is shown of the stock.
        let expected = if matches!(kind, FactKind::ProviderRequests | FactKind::ShownStock) {
            DrillVerdict::Passed
        } else {
            DrillVerdict::Undetermined
        };
        assert_eq!(judgement.verdict, expected, "{kind:?}");
    }
}

#[test]
fn lines_are_read_or_refused() {
    let text: String = healthy()
        .iter()
        .map(|record| serde_json::to_string(record).unwrap() + "\n")
        .collect();
    assert_eq!(
        judge(&History::from_journal(&text).unwrap()).verdict,
        DrillVerdict::Passed
    );

    let other = text.replacen("\"schema\":1", "\"schema\":2", 1);
    let error = History::from_journal(&other).unwrap_err();
    assert_eq!(error.line, 1);
    assert!(matches!(
        error.source,
        LineError::UnknownSchema { found: 2 }
    ));
    // A later format may look different altogether.
    let later = parse_line(r#"{"record":"drill","schema":7,"title":"x"}"#);
    assert!(matches!(later, Err(LineError::UnknownSchema { found: 7 })));
    assert!(matches!(
        parse_line("{\"record\":\"fact\""),
        Err(LineError::NotARecord(_))
    ));
    assert!(matches!(
        parse_line(r#"{"record":"party"}"#),
        Err(LineError::NotARecord(_))
    ));

    let garbled = text.replacen("{\"record\":\"fact\"", "{\"record\":", 1);
    assert!(matches!(
        History::from_journal(&garbled).unwrap_err().source,
        LineError::NotARecord(_)
    ));

    let cut = &text[..text.len() - 10];
    let judgement = judge(&History::from_journal(cut).unwrap());
    assert_eq!(judgement.verdict, DrillVerdict::Undetermined);
    assert!(
        judgement
            .reasons
            .iter()
            .any(|reason| reason.sentence.contains("cut off"))
    );
}

/// What a forger tried and what came of it, ahead of everything else.
fn with_forger(records: Vec<Record>, outcome: Outcome) -> Vec<Record> {
    let tried = Record::Operation(Operation {
        reference: "forger-1".to_owned(),
        attempt: 1,
        customer: "customer-001".to_owned(),
        idempotency_key: None,
        forged: Some("alg_none".to_owned()),
        started_us: 1,
        ended_us: 2,
        lines: Vec::new(),
        amount_minor: 0,
        outcome,
    });
    with(records, [tried])
}

#[test]
fn a_forger_must_come_and_must_get_nothing() {
    let expected = || Record::Expectation(Expectation::NoForgedOrder);
    let refused = || Outcome::Refused {
        reason: "401 token_algorithm".to_owned(),
    };
    let nobody = judged(with(healthy(), [expected()]));
    assert_eq!(nobody.verdict, DrillVerdict::Undetermined, "{nobody:#?}");
    let held = judged(with(with_forger(healthy(), refused()), [expected()]));
    assert_eq!(held.verdict, DrillVerdict::Passed, "{held:#?}");
    let of_honest_customers = [
        Expectation::FailedShare { at_most: 0.1 },
        Expectation::Refusals {
            reason: "401".to_owned(),
            at_least: 0,
            at_most: Some(0),
        },
    ];
    let apart = judged(with(
        with_forger(healthy(), refused()),
        of_honest_customers.map(Record::Expectation),
    ));
    assert_eq!(apart.verdict, DrillVerdict::Passed, "{apart:#?}");
    let order_id = healthy().iter().find_map(|record| match record {
        Record::Operation(operation) => match &operation.outcome {
            Outcome::Done { order_id } => Some(order_id.clone()),
            _ => None,
        },
        _ => None,
    });
    let done = Outcome::Done {
        order_id: order_id.expect("an accepted order"),
    };
    let broken = judged(with(with_forger(healthy(), done), [expected()]));
    assert_eq!(broken.verdict, DrillVerdict::Violated, "{broken:#?}");
    let finding = broken
        .findings
        .iter()
        .find(|finding| finding.name == "no-forged-order");
    let sentence = &finding.expect("the finding").sentence;
    assert!(sentence.contains("alg_none"), "{sentence}");
}

#[test]
fn what_is_shown_of_the_stock_must_be_what_there_is() {
    let promised = |change: &dyn Fn(&mut Vec<Record>)| {
        let mut journal = with(
            healthy(),
            [Record::Expectation(Expectation::ShownStockTrue)],
        );
        change(&mut journal);
        reseal(&mut journal);
        judged(journal)
    };
    let old = promised(&|journal| {
        let shown = journal.iter_mut().find_map(|record| match record {
            Record::Fact(Fact::ShownStock { on_hand, .. }) => Some(on_hand),
            _ => None,
        });
        *shown.expect("something is shown") += 2;
    });
    assert_eq!(old.verdict, DrillVerdict::Violated);
    assert_eq!(old.findings[0].name, "shown-stock-true");
    let nothing = promised(&|journal| {
        journal.retain(|record| !matches!(record, Record::Fact(Fact::ShownStock { .. })));
    });
    assert_eq!(nothing.verdict, DrillVerdict::Undetermined);
}

#[test]
fn expectations_are_judged_on_the_same_history() {
    let parked = |at_least, at_most| Expectation::ParkedMessages {
        topic: "payment-commands".to_owned(),
        at_least,
        at_most,
    };
    let refused = |at_least, at_most| Expectation::Refusals {
        reason: "429".to_owned(),
        at_least,
        at_most,
    };
    let sold = |product: Option<&str>, exactly| Expectation::UnitsSold {
        product_id: product.map(str::to_owned),
        exactly,
    };
    let in_state = |state: &str, at_least, at_most| Expectation::OrdersInState {
        state: state.to_owned(),
        at_least,
        at_most,
    };
    let seen = |state: &str, at_least| Expectation::OrdersSeen {
        state: state.to_owned(),
        at_least,
    };
    let kept = [
        Expectation::ProviderAttemptsPerOrder { at_most: 1 },
        Expectation::FailedShare { at_most: 0.1 },
        Expectation::AcceptedOrders { at_least: 39 },
        Expectation::UnansweredAttempts { at_least: 0 },
        Expectation::ShownStockTrue,
        sold(None, 37 * 3),
        sold(Some("p-0001"), 37),
        sold(Some("p-nowhere"), 0),
        in_state("refunded", 2, Some(2)),
        in_state("cancelled", 0, None),
        seen("out_of_stock", 2),
        seen("cancelled", 0),
        refused(2, None),
        refused(0, Some(2)),
        Expectation::UnansweredShare { at_most: 0.1 },
        parked(1, None),
        parked(0, Some(1)),
    ];
    for expectation in kept {
        let name = expectation.name();
        let judgement = judged(with(healthy(), [Record::Expectation(expectation)]));
        assert_eq!(judgement.verdict, DrillVerdict::Passed, "{judgement:#?}");
        assert!(judgement.checks.iter().any(|check| check.name == name));
    }
    let broken = [
        Expectation::ProviderAttemptsPerOrder { at_most: 0 },
        Expectation::FailedShare { at_most: 0.01 },
        Expectation::AcceptedOrders { at_least: 40 },
        Expectation::UnansweredAttempts { at_least: 41 },
        sold(None, 37 * 3 - 1),
        sold(Some("p-0001"), 38),
        in_state("refunded", 3, None),
        in_state("fulfilled", 0, Some(36)),
        seen("out_of_stock", 3),
        seen("cancelled", 1),
        refused(1_000, None),
        refused(0, Some(1)),
        parked(2, None),
        parked(0, Some(0)),
    ];
    for expectation in broken {
        let name = expectation.name();
        let judgement = judged(with(healthy(), [Record::Expectation(expectation)]));
        assert_eq!(judgement.verdict, DrillVerdict::Violated, "{name}");
        let names: Vec<_> = judgement
            .findings
            .iter()
            .map(|finding| finding.name.as_str())
            .collect();
        assert_eq!(names, [name]);
    }
}

#[test]
fn many_subjects_are_counted_and_the_first_ones_named() {
    let mut journal = healthy();
    let charges: Vec<_> = journal
        .iter()
        .filter_map(|record| match record {
            Record::Fact(Fact::Charge {
                order_id,
                amount_minor,
                ..
            }) => Some((order_id.clone(), *amount_minor)),
            _ => None,
        })
        .collect();
    let last = charges.len() - 1;
    for (number, (order_id, amount_minor)) in charges.into_iter().enumerate() {
        for again in 0..if number == last { 2 } else { 1 } {
            let copy = Fact::Charge {
                charge_id: format!("again-{number}-{again}"),
                order_id: order_id.clone(),
                amount_minor,
                idempotency_key: None,
                currency: Some("EUR".to_owned()),
                at_us: None,
            };
            let end = journal.len() - 1;
            journal.insert(end, Record::Fact(copy));
        }
    }
    reseal(&mut journal);
    let judgement = judged(journal);
    let finding = &judgement.findings[0];
    assert_eq!(finding.name, "no-duplicate-charge");
    assert_eq!(finding.count, 39);
    assert_eq!(finding.subjects.len(), SUBJECTS_NAMED);
    assert!(
        finding.sentence.starts_with(
            "39 of 39 charged purchases were charged more than once: order 0192f0c1-7a00-7000-8000-000000000000 was \
             charged 2 times, 2 x 4.50 EUR"
        ),
        "{}",
        finding.sentence
    );
    assert!(
        finding
            .worst
            .as_ref()
            .is_some_and(|worst| worst.contains("3 x 4.50 EUR")),
        "{:?}",
        finding.worst
    );
}

#[test]
fn the_story_of_an_order_goes_across_all_services() {
    let history = History::from_records(with(healthy(), [started("cut")]));
    let told = story::of_order(&history, "0192f0c1-7a00-7000-8000-000000000001").unwrap();
    let wanted = [
        "customer customer-1 orders 2 x p-0000, 1 x p-0001 for 4.50 EUR",
        "accepted as order 0192f0c1-7a00-7000-8000-000000000001",
        "customer customer-1 is shown order 0192f0c1-7a00-7000-8000-000000000001 as out_of_stock, version 4",
        "order: placed (version 1)",
        "queue: charge at payment-commands/1 @0: done by payment-service",
        "provider: charge charge-1 of 4.50 EUR booked under",
        "order: payment_pending -> paid (version 3)",
        "queue: paid at order-events/1",
        "queue: out_of_stock at inventory-events/1",
        "order: paid -> out_of_stock (version 4)",
        "provider: refund refund-1 gives 4.50 EUR of charge charge-1 back",
        "order: out_of_stock -> refunded (version 5)",
        "is refunded (final), version 5; charged 4.50 EUR, given back 4.50 EUR",
    ];
    let mut lines = told.iter();
    for words in wanted {
        assert!(
            lines.any(|line| line.contains(words)),
            "\"{words}\" does not follow in {told:#?}"
        );
    }
    assert!(
        told.iter()
            .any(|line| line.contains("fault \"cut\" comes into force"))
    );
    assert_eq!(story::of_order(&history, "nobody"), None);
}

#[test]
fn a_skip_and_a_harness_failure_need_no_history() {
    assert_eq!(
        Judgement::skipped("no browser").verdict,
        DrillVerdict::Skipped
    );
    let judgement = Judgement::harness_error("PostgreSQL does not start");
    assert_eq!(judgement.verdict, DrillVerdict::HarnessError);
    assert_eq!(judgement.reasons[0].sentence, "PostgreSQL does not start");
}
