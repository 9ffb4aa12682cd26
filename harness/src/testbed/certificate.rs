//! Certificates as a drill asks its testbed for them, whether or not anybody should believe them.

use std::time::{Duration, SystemTime};

/// What a certificate is to say. The default is what a component ought to show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Who answers for it.
    pub issuer: Issuer,
    /// Whom it is for.
    pub owner: Owner,
    /// How long it is good.
    pub expiry: Expiry,
}

/// Who answers for a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Issuer {
    /// The authority that the component went to last; the first one at the start.
    #[default]
    AsBefore,
    /// The component goes to this one.
    Authority(Authority),
    /// One that nobody is ever told of.
    Unknown,
}

/// An authority of the drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// Trusted by everybody from the start.
    First,
    /// Trusted by those who are told to.
    Second,
}

/// Whom a certificate is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Owner {
    /// The component that shows it, by all names and addresses at which it is reached.
    #[default]
    Itself,
    /// Somebody else.
    Another,
}

/// How long a certificate is good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Expiry {
    /// Longer than any drill.
    #[default]
    AfterTheDrill,
    /// It was good once.
    Past,
    /// From when it is issued; certificates count in whole seconds, so that it may be good up to a second longer.
    After(Duration),
}

/// A certificate that was given to a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate itself, DER: what a server that has taken it up shows.
    pub der: Vec<u8>,
    /// From this moment on nobody may believe it.
    pub expires_at: SystemTime,
}
