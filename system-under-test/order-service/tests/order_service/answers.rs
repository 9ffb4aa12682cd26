//! Answers of payment and inventory, applied to a real PostgreSQL.

use crate::support::{Shop, id_of, order};
use contracts::topic;
use order_service::defences::Defence;
use order_service::domain::{Answer, State};
use order_service::store::answer::{Answered, Effect};
use uuid::Uuid;

pub(crate) async fn placed(shop: &Shop) -> Uuid {
    let (_, answer) = shop.post(None, &order("r")).await;
    id_of(&answer)
}

pub(crate) fn answered(order_id: Uuid, answer: Answer) -> Answered {
    let message_id = contracts::deterministic_id(order_id, "tests", &format!("{answer:?}"));
    Answered {
        message_id,
        topic: topic::PAYMENT_RESULTS,
        order_id,
        answer,
        cause: "test",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_moves_on_and_out_of_stock_asks_for_a_refund() {
    let shop = Shop::new(&[]).await;
    let order_id = placed(&shop).await;
    for (answer, state) in [
        (Answer::Charged, State::Paid),
        (Answer::OutOfStock, State::OutOfStock),
        (Answer::Refunded, State::Refunded),
    ] {
        assert_eq!(
            shop.store
                .apply(answered(order_id, answer))
                .await
                .expect("stored"),
            Effect::Moved(state)
        );
    }
    let order = shop
        .store
        .order(order_id)
        .await
        .expect("read")
        .expect("there");
    assert_eq!((order.state, order.version), (State::Refunded, 5));
    assert_eq!(
        shop.count("select count(distinct version) from audit")
            .await,
        5
    );
    assert_eq!(
        shop.count("select count(*) from outbox where payload->>'kind' = 'refund'")
            .await,
        1
    );
    assert_eq!(
        shop.count("select max((payload->>'sequence')::int)::bigint from outbox")
            .await,
        5
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_processed_once() {
    let shop = Shop::new(&[]).await;
    let order_id = placed(&shop).await;
    let charged = answered(order_id, Answer::Charged);
    assert_eq!(
        shop.store.apply(charged).await.expect("stored"),
        Effect::Moved(State::Paid)
    );
    assert_eq!(
        shop.store.apply(charged).await.expect("stored"),
        Effect::SeenBefore
    );
    let open = Shop::new(&[Defence::InboxDedup]).await;
    let order_id = placed(&open).await;
    let charged = answered(order_id, Answer::Charged);
    assert_eq!(
        open.store.apply(charged).await.expect("stored"),
        Effect::Moved(State::Paid)
    );
    assert_eq!(
        open.store.apply(charged).await.expect("stored"),
        Effect::Known,
        "it gets as far as the state"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_do_not_fit_change_nothing() {
    let shop = Shop::new(&[]).await;
    let order_id = placed(&shop).await;
    let early = shop
        .store
        .apply(answered(order_id, Answer::Taken))
        .await
        .expect("stored");
    assert_eq!(early, Effect::Illegal(State::PaymentPending));
    let nobodys = shop
        .store
        .apply(answered(Uuid::nil(), Answer::Charged))
        .await
        .expect("read");
    assert_eq!(nobodys, Effect::NoOrder);
    assert_eq!(
        shop.count("select count(*) from inbox").await,
        1,
        "what was set aside is recorded, what is unknown is not"
    );
}

/// Applies two contradicting answers to many orders at once; returns the orders whose audit trail has two entries of one
/// version, which is a lost update.
async fn lost_updates(shop: &Shop) -> i64 {
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..15 {
        let order_id = placed(shop).await;
        for answer in [Answer::Charged, Answer::Declined] {
            let store = shop.store.clone();
            racing.spawn(async move {
                store
                    .apply(answered(order_id, answer))
                    .await
                    .expect("stored")
            });
        }
    }
    racing.join_all().await;
    shop.count("select count(*) from (select from audit group by order_id, version having count(*) > 1) as twice").await
        + shop.count("select count(*) from (select from audit where version > 2 group by order_id having count(*) > 1) as went_on").await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_contradicting_answers_one_wins() {
    let shop = Shop::new(&[]).await;
    assert_eq!(lost_updates(&shop).await, 0);
    let unchecked = Shop::new(&[Defence::VersionCheck]).await;
    assert!(lost_updates(&unchecked).await > 0);
}
