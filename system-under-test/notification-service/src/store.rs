//! All SQL of the notification service: what customers are told, and the inbox.

use contracts::{Kind, OrderEvent, OrderEventBody, OrderEventKind};
use service_kit::database::{DatabaseSettings, Pool, SqlState, with_retries};
use sqlx::PgConnection;

use crate::domain::Channel;

/// A message that a customer is to get.
#[derive(Debug, Clone, Copy)]
pub struct Planned<'a> {
    /// Over which channel.
    pub channel: Channel,
    /// Who gets it.
    pub recipient: &'a str,
    /// The template it is made from.
    pub template: &'a str,
}

/// The last thing that is known about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The provider took it.
    Sent,
    /// The provider will never take it.
    Refused,
    /// It was tried once and not again.
    GivenUp,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Refused => "refused",
            Self::GivenUp => "given_up",
        }
    }
}

/// How a message ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// Over which channel.
    pub channel: Channel,
    /// What became of it.
    pub state: State,
    /// The provider's name for it.
    pub provider_id: Option<&'a str>,
    /// Why it was not sent.
    pub reason: Option<&'a str>,
    /// Whether with it everything is done that the event asked for.
    pub is_last: bool,
}

/// The service's database.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Pool,
    settings: DatabaseSettings,
}

impl Store {
    /// A store on a migrated database, with the limits of its settings.
    pub fn new(pool: Pool, settings: DatabaseSettings) -> Self {
        Self { pool, settings }
    }

    /// Notes what is going to be sent for an event, before it is. Returns the channels over which the customer was told
    /// this about the order before.
    ///
    /// # Errors
    /// The database could not be asked; doing it again is safe.
    pub async fn begin(
        &self,
        event: &OrderEvent,
        told: OrderEventKind,
        planned: &[Planned<'_>],
    ) -> Result<Vec<Channel>, sqlx::Error> {
        let noting = || {
            self.settings
                .bounded(self.try_to_begin(event, told, planned))
        };
        with_retries(self.settings.retry, noting).await
    }

    async fn try_to_begin(
        &self,
        event: &OrderEvent,
        told: OrderEventKind,
        planned: &[Planned<'_>],
    ) -> Result<Vec<Channel>, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let mut sent = Vec::new();
        for one in planned {
            let state: String = sqlx::query_scalar(
                "insert into notifications (order_id, kind, channel, recipient, template)
                 values ($1, $2, $3, $4, $5)
                 on conflict (order_id, kind, channel) do update set updated_at = now(),
                     state = case when notifications.state = 'sent' then 'sent' else 'pending' end
                 returning state",
            )
            .bind(event.order_id)
            .bind(told.name())
            .bind(one.channel.name())
            .bind(one.recipient)
            .bind(one.template)
            .fetch_one(&mut *transaction)
            .await?;
            if state == State::Sent.as_str() {
                sent.push(one.channel);
            }
        }
        transaction.commit().await?;
        Ok(sent)
    }

    /// Records how a message ended and, when it was the last, that its event is processed: both or neither.
    ///
    /// # Errors
    /// The database could not be asked; doing it again is safe.
    pub async fn record(
        &self,
        event: &OrderEvent,
        told: OrderEventKind,
        ended: Ended<'_>,
    ) -> Result<(), sqlx::Error> {
        let recording = || {
            self.settings
                .bounded(self.try_to_record(event, told, ended))
        };
        with_retries(self.settings.retry, recording).await
    }

    async fn try_to_record(
        &self,
        event: &OrderEvent,
        told: OrderEventKind,
        ended: Ended<'_>,
    ) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query(
            "update notifications set state = $4, provider_id = $5, reason = $6, updated_at = now()
             where order_id = $1 and kind = $2 and channel = $3",
        )
        .bind(event.order_id)
        .bind(told.name())
        .bind(ended.channel.name())
        .bind(ended.state.as_str())
        .bind(ended.provider_id)
        .bind(ended.reason)
        .execute(&mut *transaction)
        .await?;
        if ended.is_last {
            mark_processed(&mut transaction, event).await?;
        }
        transaction.commit().await
    }

    /// Records that an event is processed although nothing was left to send.
    ///
    /// # Errors
    /// The database could not be asked; doing it again is safe.
    pub async fn finish(&self, event: &OrderEvent) -> Result<(), sqlx::Error> {
        let finishing = async {
            let mut lent = self.pool.acquire().await?;
            mark_processed(&mut lent, event).await?;
            lent.give_back();
            Ok(())
        };
        self.settings.bounded(finishing).await
    }
}

async fn mark_processed(
    connection: &mut PgConnection,
    event: &OrderEvent,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into inbox (message_id, topic, order_id) values ($1, $2, $3)
         on conflict (message_id) do nothing",
    )
    .bind(event.message_id)
    .bind(OrderEventBody::TOPIC)
    .bind(event.order_id)
    .execute(connection)
    .await
    .map(drop)
}

/// Whether an error lies in what was to be stored, so that trying again cannot help.
pub fn is_permanent(error: &sqlx::Error) -> bool {
    // Class 22: data exceptions; class 23: integrity constraints.
    error
        .sql_state()
        .is_some_and(|state| state.starts_with("22") || state.starts_with("23"))
}
