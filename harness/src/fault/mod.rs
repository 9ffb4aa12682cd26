//! Faults: a closed set of kinds, each a value that can be put in force and owns its healing.
//!
//! One file per kind holds its parameters, how it hurts, how that is felt and how it heals; nothing outside that file asks
//! which kind a fault is. [`inject`] puts a fault in force and returns an [`Injection`].

mod error;
mod in_force;
mod injection;
mod kind;
mod on_certificates;
mod on_links;
mod processes;
mod target;
mod witness;

mod address_moved;
mod authority_replaced;
mod broker_stopped;
mod certificate_expires;
mod certificate_replaced;
mod connection_cut;
mod connection_reset;
mod connection_timeout;
mod deadlock;
mod dns_answers;
mod external_script;
mod fail_point;
mod kafka_answers;
mod latency;
mod link_down;
mod messages_duplicated;
mod messages_produced;
mod offsets_reset;
mod process_killed;
mod process_paused;
mod rows_locked;
mod secret_rotated;
mod signing_key_rotated;

pub use address_moved::AddressMoved;
pub use authority_replaced::AuthorityReplaced;
pub use broker_stopped::BrokerStopped;
pub use certificate_expires::CertificateExpires;
pub use certificate_replaced::{CertificateReplaced, Unbelievable};
pub use connection_cut::ConnectionCut;
pub use connection_reset::ConnectionReset;
pub use connection_timeout::ConnectionTimeout;
pub use deadlock::{Deadlock, Locked};
pub use dns_answers::{DnsAnswer, DnsAnswers};
pub use error::{Cause, Doing, FaultError};
pub use external_script::{Behaviour, ExternalScript, ProviderRequest};
pub use fail_point::{FailPoint, PointAction};
pub use injection::{HealReport, Injection, inject};
pub use kafka_answers::{KafkaAction, KafkaAnswers, KafkaApi, KafkaErrorName};
pub use kind::{Kind, KindDescription};
pub use latency::Latency;
pub use link_down::LinkDown;
pub use messages_duplicated::MessagesDuplicated;
pub use messages_produced::MessagesProduced;
pub use offsets_reset::{OffsetsReset, ResetTo};
pub use on_links::Direction;
pub use process_killed::{AtRandom, EndSignal, ProcessKilled};
pub use process_paused::ProcessPaused;
pub use rows_locked::RowsLocked;
pub use secret_rotated::SecretRotated;
pub use signing_key_rotated::SigningKeyRotated;
pub use target::{LinkName, Mistake, Named, component_of};
pub use witness::{Felt, FeltBy, Witness};

/// A fault as a value: what happens to what, and who can tell that it was felt.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Fault {
    /// Name of its profile.
    pub name: String,
    /// What happens to what.
    #[serde(flatten)]
    pub kind: Kind,
    /// How it must be felt.
    pub felt: FeltBy,
}

impl Fault {
    /// What it hurts, in the words of the topology: `payment-service -> payment-provider`, `order-service-1`.
    #[must_use]
    pub fn target(&self) -> String {
        self.kind.target()
    }
}
