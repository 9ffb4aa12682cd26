//! Protections that can be switched off by name, so that a drill can show what they are worth.
//!
//! A service declares its own with [`defences!`](crate::defences!), reads which are on with
//! [`Settings::defences`](crate::settings::Settings::defences) and asks [`Defences::on`] at the one place where each
//! protects.

use std::collections::BTreeSet;

/// First parts of the names of all defences in the pipeline; a name with another first part is a mistake.
const COMPONENTS: [&str; 7] = [
    "frontend",
    "gateway",
    "order",
    "payment",
    "inventory",
    "notification",
    "analytics",
];

/// The closed set of a service's defences. Implemented by [`defences!`](crate::defences!).
pub trait Defence: Copy + Ord + std::fmt::Debug + Send + Sync + 'static {
    /// The first part of the names, `payment`.
    const COMPONENT: &'static str;
    /// All defences of the service.
    const ALL: &'static [Self];
    /// The full name, `payment.idempotency-key`.
    fn name(self) -> &'static str;
}

/// Which defences of a service are on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defences<D: Defence> {
    off: BTreeSet<D>,
}

impl<D: Defence> Defences<D> {
    /// Every defence is on.
    pub fn all() -> Self {
        Self {
            off: BTreeSet::new(),
        }
    }

    /// Every defence is on but these.
    pub fn without(off: impl IntoIterator<Item = D>) -> Self {
        Self {
            off: off.into_iter().collect(),
        }
    }

    /// Reads names separated by commas; those of other components are none of our business.
    ///
    /// # Errors
    /// A sentence for every name that nobody can mean.
    pub fn parse(names: &str) -> Result<Self, Vec<String>> {
        let mut off = BTreeSet::new();
        let mut unknown = Vec::new();
        for name in names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            let component = name
                .split_once('.')
                .map_or(name, |(component, _)| component);
            if let Some(defence) = D::ALL
                .iter()
                .copied()
                .find(|defence| defence.name() == name)
            {
                off.insert(defence);
            } else if component == D::COMPONENT {
                let known: Vec<_> = D::ALL.iter().map(|defence| defence.name()).collect();
                unknown.push(format!(
                    "`{name}` is unknown; this service has {}",
                    known.join(", ")
                ));
            } else if !COMPONENTS.contains(&component) {
                unknown.push(format!(
                    "`{name}` belongs to no component; they are {}",
                    COMPONENTS.join(", ")
                ));
            }
        }
        if unknown.is_empty() {
            Ok(Self { off })
        } else {
            Err(unknown)
        }
    }

    /// Whether a defence is on.
    pub fn on(&self, defence: D) -> bool {
        !self.off.contains(&defence)
    }

    /// Names of the defences that are off, for the log.
    pub fn names_off(&self) -> Vec<&'static str> {
        self.off.iter().map(|defence| defence.name()).collect()
    }
}

/// Declares the defences of a service.
///
/// ```
/// service_kit::defences! {
///     /// What protects the till.
///     pub enum Protection of "payment" {
///         /// A charge is booked once per key.
///         IdempotencyKey = "idempotency-key",
///     }
/// }
/// use service_kit::defences::Defence;
/// assert_eq!(Protection::IdempotencyKey.name(), "payment.idempotency-key");
/// ```
#[macro_export]
macro_rules! defences {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $name:ident of $component:literal {
            $( $(#[$variant_meta:meta])* $variant:ident = $suffix:literal, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        $visibility enum $name {
            $( $(#[$variant_meta])* $variant, )+
        }

        impl $crate::defences::Defence for $name {
            const COMPONENT: &'static str = $component;
            const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            fn name(self) -> &'static str {
                match self {
                    $( Self::$variant => concat!($component, ".", $suffix), )+
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::defences! {
        enum Sample of "payment" {
            Retry = "retry",
            Backoff = "backoff",
        }
    }

    #[test]
    fn only_the_named_defences_are_off_and_those_of_others_are_ignored() {
        let defences =
            Defences::<Sample>::parse("payment.retry, gateway.body-limit,").expect("known");
        assert!(!defences.on(Sample::Retry));
        assert!(defences.on(Sample::Backoff));
        assert_eq!(defences.names_off(), ["payment.retry"]);
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let unknown = Defences::<Sample>::parse("payment.retrry,paymnt.retry,retry")
            .expect_err("three mistakes");
        assert_eq!(unknown.len(), 3);
        assert!(
            unknown[0].contains("payment.retry, payment.backoff"),
            "{}",
            unknown[0]
        );
    }
}
