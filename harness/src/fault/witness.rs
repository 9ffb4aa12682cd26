//! Who can tell that a fault was felt. A witness is never the injector's own word that it switched something on.

use std::fmt;

macro_rules! witnesses {
    ($( $(#[doc = $doc:literal])+ $name:ident = $words:literal, )+) => {
        /// Somebody who counts what a fault really did. Closed: profiles name one of these.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
            schemars::JsonSchema,
        )]
        pub enum Witness {
            $( $(#[doc = $doc])+ #[serde(rename = $words)] $name, )+
        }

        impl Witness {
            /// All witnesses, in the order in which they are listed.
            pub const ALL: &'static [Self] = &[$( Self::$name, )+];

            /// The words under which a profile names it.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self { $( Self::$name => $words, )+ }
            }

            /// Who counts what, one or two sentences.
            #[must_use]
            pub fn describe(self) -> &'static str {
                match self { $( Self::$name => concat!($($doc),+).trim_ascii(), )+ }
            }
        }
    };
}

witnesses! {
    /// The link's proxy counts every piece of data that it really delivered late.
    DelayedData = "data delivered late",
    /// The link's proxy counts every piece of data that it swallowed.
    SwallowedData = "data that never arrived",
    /// The link's proxy counts every open connection that it reset.
    ConnectionsReset = "connections reset",
    /// The link's proxy counts every open connection that it cut.
    ConnectionsCut = "connections cut",
    /// The link's proxy counts the connections on which a request had gone through to the server and the answer was then swallowed; TLS handshakes are not counted.
    AnswersLost = "answers lost after the request went through",
    /// The smaller of two counts: charges newly booked in the provider's own ledger, and answers that the link's proxy swallowed after their request had gone through.
    ChargesWithoutAnswer = "charges without an answer",
    /// The client's name server counts every question about where its servers are that was answered so, or not at all.
    MisleadingAnswers = "questions about names misled",
    /// The proxies count every connection of a client that found no server behind its link.
    NoServer = "connections that found no server",
    /// The link's proxy counts every Kafka request or answer that its rule really hurt.
    QueueAnswers = "queue answers hurt",
    /// The testbed counts every process that the operating system reports as ended by a signal.
    ProcessesKilled = "processes killed",
    /// A prober counts the health probes that a frozen process left unanswered.
    ProbesUnanswered = "probes without an answer",
    /// The service counts how often its fail-point acted; where it ends the process, the testbed counts the ends.
    FailPointActed = "fail-point acted",
    /// The external world counts the requests that its script acted on.
    ScriptActed = "requests the script acted on",
    /// Copies that were read back from the topic at the offset which the broker gave them.
    CopiesReadBack = "messages twice in the topic",
    /// The consumer group's dead-letter topic holds so many of the messages that were produced, put there by the group.
    ProducedParked = "produced messages parked",
    /// The broker's own offsets say how many of the messages that were produced the group has read past.
    ProducedRead = "produced messages read",
    /// The broker's own offsets say how many messages the group has read for a second time.
    ReadAgain = "messages read again",
    /// The identity provider counts the tokens that customers got under the new key.
    TokensUnderNewKey = "tokens under the new key",
    /// The database's own log names every login of the component whose password it has refused.
    LoginsRefused = "logins that the database refused",
    /// The link's proxy counts every TLS connection whose client answered what the server had shown with an alert instead of finishing the handshake.
    HandshakesRefused = "handshakes that clients refused",
    /// The link's proxy counts every TLS connection whose client finished the handshake with what the server had shown.
    HandshakesFinished = "handshakes that clients finished",
    /// The database counts the statements that waited for the lock.
    StatementsWaiting = "statements that waited for the lock",
    /// The database counts the deadlocks that it resolved by ending a transaction (40P01); those in which it ended the fault's own are left out.
    DeadlocksResolved = "transactions ended by a deadlock",
}

impl fmt::Display for Witness {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.words())
    }
}

/// How a fault must be felt for a drill to mean anything.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct FeltBy {
    /// Who witnesses it.
    pub by: Witness,
    /// How often it must be felt at least.
    #[serde(default = "once")]
    #[schemars(range(min = 1))]
    pub at_least: u64,
}

fn once() -> u64 {
    1
}

/// What a witness has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Felt {
    /// Who counted.
    pub witness: Witness,
    /// How often the fault was felt so far.
    pub count: u64,
    /// How often it must be felt for the drill to mean anything.
    pub at_least: u64,
}

impl Felt {
    /// Whether it was felt often enough for the drill to mean anything.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.count >= self.at_least
    }
}
