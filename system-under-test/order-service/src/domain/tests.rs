use proptest::prelude::*;
use time::macros::datetime;

use super::*;

fn order(state: State, version: i32) -> Order {
    let lines = vec![PricedLine {
        product_id: "p-0001".into(),
        quantity: 2,
        price_minor: 150,
    }];
    Order {
        order_id: Uuid::from_u128(1),
        reference: "r-1".into(),
        customer_id: "c-1".into(),
        state,
        version,
        amount_minor: 300,
        currency: "EUR".into(),
        lines,
    }
}

#[test]
fn the_lives_of_an_order_are_these_three() {
    let lives = [
        (vec![Answer::Charged, Answer::Taken], State::Fulfilled),
        (
            vec![Answer::Charged, Answer::OutOfStock, Answer::Refunded],
            State::Refunded,
        ),
        (vec![Answer::Declined], State::Declined),
    ];
    for (answers, end) in lives {
        let state = answers.iter().fold(State::PaymentPending, |state, answer| {
            match answer.step_from(state) {
                Step::To(next) => next,
                other => panic!("{answer:?} from {state}: {other:?}"),
            }
        });
        assert_eq!(state, end);
        assert!(end.is_final());
    }
}

#[test]
fn late_and_repeated_answers_are_known() {
    assert_eq!(Answer::Charged.step_from(State::Paid), Step::Known);
    assert_eq!(Answer::Charged.step_from(State::Refunded), Step::Known);
    assert_eq!(Answer::OutOfStock.step_from(State::Refunded), Step::Known);
}

#[test]
fn answers_that_contradict_the_past_are_illegal() {
    assert_eq!(Answer::Declined.step_from(State::Paid), Step::Illegal);
    assert_eq!(Answer::Taken.step_from(State::OutOfStock), Step::Illegal);
    assert_eq!(Answer::Refunded.step_from(State::Fulfilled), Step::Illegal);
    assert_eq!(Answer::Charged.step_from(State::Declined), Step::Illegal);
    assert_eq!(Answer::Charged.step_from(State::Cancelled), Step::Illegal);
}

#[test]
fn placing_is_audited_in_two_steps_and_asks_for_the_money() {
    let (entries, messages) = placed(
        &order(State::PaymentPending, 2),
        datetime!(2026-11-23 10:00 UTC),
    );
    let steps: Vec<_> = entries
        .iter()
        .map(|entry| (entry.version, entry.from, entry.to))
        .collect();
    assert_eq!(
        steps,
        [
            (1, None, State::Placed),
            (2, Some(State::Placed), State::PaymentPending)
        ]
    );
    assert!(
        matches!(&messages[0], Message::Event(event) if event.body.kind == OrderEventKind::Placed)
    );
    assert!(matches!(
        &messages[1],
        Message::Command(command) if matches!(command.body, PaymentCommandKind::Charge { amount_minor: 300, .. })
    ));
}

#[test]
fn only_out_of_stock_asks_for_a_refund() {
    for state in State::ALL {
        let messages = moved_on(&order(state, 4), datetime!(2026-11-23 10:00 UTC));
        let refunds = messages
            .iter()
            .filter(|message| matches!(message, Message::Command(_)))
            .count();
        assert_eq!(refunds, usize::from(state == State::OutOfStock), "{state}");
    }
}

#[test]
fn an_amount_that_cannot_be_counted_is_none() {
    let line = |price_minor| PricedLine {
        product_id: "p".into(),
        quantity: 2,
        price_minor,
    };
    assert_eq!(amount(&[line(3), line(4)]), Some(14));
    assert_eq!(amount(&[line(i64::MAX)]), None);
    assert_eq!(amount(&[line(i64::MAX / 2), line(2)]), None);
}

#[test]
fn a_shown_price_is_the_sum_and_where_it_is_given_the_currency() {
    let order = order(State::PaymentPending, 2);
    let shown = |amount_minor, currency: Option<&str>| ShownPrice {
        amount_minor,
        currency: currency.map(str::to_owned),
    };
    assert!(shown(300, Some("EUR")).is_price_of(&order));
    assert!(shown(300, None).is_price_of(&order));
    assert!(!shown(300, Some("USD")).is_price_of(&order));
    assert!(!shown(299, None).is_price_of(&order));
    assert!(!shown(301, Some("EUR")).is_price_of(&order));
}

fn any_answers() -> impl Strategy<Value = Vec<Answer>> {
    proptest::collection::vec(proptest::sample::select(Answer::ALL.to_vec()), 0..20)
}

proptest! {
    /// Whatever arrives, in whatever order and however often: a final state is never left, and no state is entered twice.
    #[test]
    fn a_life_never_goes_back(answers in any_answers()) {
        let mut state = State::PaymentPending;
        let mut entered = vec![state];
        for answer in answers {
            if let Step::To(next) = answer.step_from(state) {
                prop_assert!(!state.is_final());
                prop_assert!(!entered.contains(&next));
                entered.push(next);
                state = next;
            }
            // The same answer again changes nothing.
            prop_assert!(!matches!(answer.step_from(state), Step::To(_)));
        }
    }

    #[test]
    fn names_are_read_back(index in 0..State::ALL.len()) {
        let state = State::ALL[index];
        prop_assert_eq!(state.name().parse::<State>(), Ok(state));
    }
}
