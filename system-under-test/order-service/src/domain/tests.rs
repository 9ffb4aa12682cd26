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
        note: None,
    }
}

#[test]
fn the_lives_of_an_order_that_nobody_gives_up_are_these_three() {
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
    assert_eq!(Answer::Taken.step_from(State::Cancelling), Step::Illegal);
    assert_eq!(Answer::Declined.step_from(State::Refunding), Step::Illegal);
}

#[test]
fn an_order_can_be_given_up_until_it_is_paid_and_money_that_was_taken_goes_back() {
    assert_eq!(
        step_at_cancelling(State::PaymentPending),
        Step::To(State::Cancelling)
    );
    assert_eq!(step_at_cancelling(State::Cancelling), Step::Known);
    assert_eq!(step_at_cancelling(State::Paid), Step::Illegal);
    let after = |answer: Answer, state| answer.step_from(state);
    assert_eq!(
        after(Answer::Declined, State::Cancelling),
        Step::To(State::Cancelled)
    );
    assert_eq!(
        after(Answer::Charged, State::Cancelling),
        Step::To(State::Refunding)
    );
    assert_eq!(
        after(Answer::Refunded, State::Refunding),
        Step::To(State::Refunded)
    );
}

#[test]
fn what_is_said_once_is_not_said_again() {
    let kinds = |state| -> Vec<String> {
        let say = |message: &Message| match message {
            Message::Event(event) => event.body.kind.name().to_owned(),
            Message::Command(_) => "a command".to_owned(),
        };
        moved_on(&order(state, 4), datetime!(2026-11-23 10:00 UTC))
            .iter()
            .map(say)
            .collect()
    };
    assert!(kinds(State::Cancelling).is_empty());
    assert_eq!(kinds(State::Cancelled), ["cancelled"]);
    assert_eq!(kinds(State::Refunding), ["a command"]);
    assert_eq!(kinds(State::Refunded), ["refunded"]);
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
fn only_what_was_paid_for_and_is_not_delivered_asks_for_a_refund() {
    for state in State::ALL {
        let messages = moved_on(&order(state, 4), datetime!(2026-11-23 10:00 UTC));
        let refunds = messages
            .iter()
            .filter(|message| matches!(message, Message::Command(_)))
            .count();
        let expected = matches!(state, State::OutOfStock | State::Refunding);
        assert_eq!(refunds, usize::from(expected), "{state}");
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

/// What may happen to an order: an answer, or that its customer gives it up.
fn any_happenings() -> impl Strategy<Value = Vec<Option<Answer>>> {
    let answer = proptest::sample::select(Answer::ALL.to_vec());
    proptest::collection::vec(proptest::option::weighted(0.8, answer), 0..20)
}

fn step(happening: Option<Answer>, state: State) -> Step {
    happening.map_or_else(
        || step_at_cancelling(state),
        |answer| answer.step_from(state),
    )
}

proptest! {
    /// Whatever happens, in whatever order and however often: a final state is never left, and no state is entered twice.
    #[test]
    fn a_life_never_goes_back(happenings in any_happenings()) {
        let mut state = State::PaymentPending;
        let mut entered = vec![state];
        for happening in happenings {
            if let Step::To(next) = step(happening, state) {
                prop_assert!(!state.is_final());
                prop_assert!(!entered.contains(&next));
                entered.push(next);
                state = next;
            }
            // The same again changes nothing.
            prop_assert!(!matches!(step(happening, state), Step::To(_)));
        }
    }

    /// The services answer what they are asked: the payment once, then the stock or the refund if one was asked for.
    /// Whenever the customer gives the order up, and whatever the answers are, the order comes to its end, and money was
    /// kept exactly for what was delivered.
    #[test]
    fn money_is_kept_only_for_what_is_delivered(
        given_up_before in 0..5_usize, declined: bool, out_of_stock: bool,
    ) {
        let mut state = State::PaymentPending;
        let (mut charged, mut refunded) = (false, false);
        for turn in 0..5 {
            if turn == given_up_before
                && let Step::To(next) = step_at_cancelling(state)
            {
                state = next;
            }
            let answer = match state {
                State::PaymentPending | State::Cancelling if declined => Answer::Declined,
                State::PaymentPending | State::Cancelling => Answer::Charged,
                State::Paid if out_of_stock => Answer::OutOfStock,
                State::Paid => Answer::Taken,
                State::OutOfStock | State::Refunding => Answer::Refunded,
                _ => break,
            };
            charged |= answer == Answer::Charged;
            refunded |= answer == Answer::Refunded;
            let Step::To(next) = answer.step_from(state) else {
                return Err(TestCaseError::fail(format!("{answer:?} does not move {state}")));
            };
            state = next;
            let asks = moved_on(&order(state, 3), datetime!(2026-11-23 10:00 UTC));
            let asks_for_refund = asks.iter().any(|message| matches!(message, Message::Command(_)));
            prop_assert_eq!(asks_for_refund, matches!(state, State::OutOfStock | State::Refunding));
        }
        prop_assert!(state.is_final(), "{}", state);
        prop_assert_eq!(charged && !refunded, state == State::Fulfilled);
    }

    #[test]
    fn names_are_read_back(index in 0..State::ALL.len()) {
        let state = State::ALL[index];
        prop_assert_eq!(state.name().parse::<State>(), Ok(state));
    }
}
