//! Scripted misbehaviour: what a party outside does to a request besides serving it honestly.
//!
//! Scripts are asked in the order of their names. `slow` delays and lets the next script decide; the first other script
//! that hits decides. A share is drawn from the script's own seeded generator, so the same requests in the same order
//! meet the same fate.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Scripts that may be set at the same time.
const SCRIPT_LIMIT: usize = 100;
/// How long a hanging request is held when the script does not say.
const HANG_DEFAULT: Duration = Duration::from_secs(600);

/// The kinds of requests that a role tells apart, so that a script can be for one of them only.
pub trait RequestKind:
    Copy + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

/// What a script does to the requests that it hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Answers with `status`; nothing is booked.
    FailBeforeBooking,
    /// Books, then answers with `status`.
    FailAfterBooking,
    /// Answers 200 with an error in the body; nothing is booked.
    ErrorBody,
    /// Waits `delay_ms`, then goes on.
    Slow,
    /// Never books and never answers; the connection stays open.
    Hang,
    /// Lets `requests_per_second` through and answers the others with 429.
    RateLimit,
    /// Refuses for good: the card is declined, the recipient is not accepted.
    Decline,
    /// Retires version 1 of the API: who asks in it is told so, who names no version is served in version 2.
    RetireVersion,
}

/// A script as it is set over the control API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound = "K: RequestKind")]
pub struct ScriptSpec<K> {
    /// What it does.
    pub behaviour: Behaviour,
    /// Status of a failing answer; 500 when absent.
    #[serde(default)]
    pub status: Option<u16>,
    /// Delay of `slow`, or how long `hang` holds a request, in milliseconds.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// What `rate_limit` lets through.
    #[serde(default)]
    pub requests_per_second: Option<u32>,
    /// Share of the requests that are hit, 0 to 1.
    #[serde(default = "whole")]
    pub share: f64,
    /// How many requests are hit before the script is spent; unlimited when absent.
    #[serde(default)]
    pub times: Option<u64>,
    /// Seed of the share's draw.
    #[serde(default)]
    pub seed: u64,
    /// Only requests of this kind; every kind when absent.
    pub kind: Option<K>,
}

fn whole() -> f64 {
    1.0
}

/// Why a script cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScriptError {
    /// The share is not a share.
    #[error("share must lie between 0 and 1")]
    Share,
    /// The status is not one that fails.
    #[error("status must lie between 400 and 599")]
    Status,
    /// `rate_limit` without a rate.
    #[error("rate_limit needs requests_per_second of at least 1")]
    Rate,
    /// `slow` without a delay.
    #[error("slow needs delay_ms")]
    Delay,
    /// Too many scripts.
    #[error("at most {SCRIPT_LIMIT} scripts at the same time")]
    TooMany,
}

/// What the scripts decided for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conduct {
    /// Wait this long first.
    pub delay: Duration,
    /// Then do this.
    pub act: Act,
}

/// How a request is dealt with after the delay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// As the API promises.
    Honest,
    /// Answer with this status, book nothing.
    FailBeforeBooking(u16),
    /// Book, then answer with this status.
    FailAfterBooking(u16),
    /// 200 with an error body, book nothing.
    ErrorBody,
    /// Hold the request this long, book nothing, answer nothing.
    Hang(Duration),
    /// 429 with this many seconds in Retry-After.
    RateLimited(u64),
    /// Refuse for good.
    Decline,
    /// Serve version 2 of the API only.
    RetireVersion,
}

/// A script and what it has done so far, as the control API shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(bound = "K: RequestKind")]
pub struct ScriptReport<K> {
    /// As it was set.
    #[serde(flatten)]
    pub spec: ScriptSpec<K>,
    /// How many requests it has hit.
    pub acted: u64,
}

struct Script<K> {
    spec: ScriptSpec<K>,
    acted: u64,
    draw: ChaCha8Rng,
    limiter: Option<DefaultDirectRateLimiter>,
}

impl<K: RequestKind> Script<K> {
    fn new(spec: ScriptSpec<K>) -> Result<Self, ScriptError> {
        if !(0.0..=1.0).contains(&spec.share) {
            return Err(ScriptError::Share);
        }
        if spec
            .status
            .is_some_and(|status| !(400..=599).contains(&status))
        {
            return Err(ScriptError::Status);
        }
        if spec.behaviour == Behaviour::Slow && spec.delay_ms.is_none() {
            return Err(ScriptError::Delay);
        }
        let limiter = match spec.behaviour {
            Behaviour::RateLimit => {
                let rate = spec.requests_per_second.and_then(NonZeroU32::new);
                let quota = Quota::per_second(rate.ok_or(ScriptError::Rate)?);
                Some(RateLimiter::direct(quota))
            }
            _ => None,
        };
        let draw = ChaCha8Rng::seed_from_u64(spec.seed);
        Ok(Self {
            spec,
            acted: 0,
            draw,
            limiter,
        })
    }

    /// What this script does to the next request of `kind`; `None` when it lets it pass.
    fn hit(&mut self, kind: K) -> Option<Act> {
        if self.spec.kind.is_some_and(|only| only != kind) {
            return None;
        }
        if self.spec.times.is_some_and(|times| self.acted >= times) {
            return None;
        }
        // 53 bits: every value is exact in an f64, so that share 1 hits always and share 0 never.
        let drawn = (self.draw.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        if drawn >= self.spec.share {
            return None;
        }
        let status = self.spec.status.unwrap_or(500);
        let act = match self.spec.behaviour {
            Behaviour::FailBeforeBooking => Act::FailBeforeBooking(status),
            Behaviour::FailAfterBooking => Act::FailAfterBooking(status),
            Behaviour::ErrorBody => Act::ErrorBody,
            Behaviour::Slow => Act::Honest,
            Behaviour::Hang => Act::Hang(self.delay().unwrap_or(HANG_DEFAULT)),
            Behaviour::RateLimit => Act::RateLimited(retry_after_s(self.limiter.as_ref()?)?),
            Behaviour::Decline => Act::Decline,
            Behaviour::RetireVersion => Act::RetireVersion,
        };
        self.acted += 1;
        Some(act)
    }

    fn delay(&self) -> Option<Duration> {
        self.spec.delay_ms.map(Duration::from_millis)
    }
}

/// Takes one request from a rate limit: `None` when it fits, else the whole seconds after which it may come again.
pub fn retry_after_s(limiter: &DefaultDirectRateLimiter) -> Option<u64> {
    let wait = limiter
        .check()
        .err()?
        .wait_time_from(DefaultClock::default().now());
    Some(wait.as_secs() + 1)
}

/// All scripts that are set, by name.
pub struct Scripts<K> {
    by_name: Mutex<BTreeMap<String, Script<K>>>,
}

impl<K> Default for Scripts<K> {
    fn default() -> Self {
        Self {
            by_name: Mutex::default(),
        }
    }
}

impl<K: RequestKind> Scripts<K> {
    /// Sets a script; one of the same name is replaced and counts from zero.
    ///
    /// # Errors
    /// Says what is wrong with the script.
    pub fn put(&self, name: &str, spec: ScriptSpec<K>) -> Result<(), ScriptError> {
        let script = Script::new(spec)?;
        let mut scripts = self.lock();
        if scripts.len() >= SCRIPT_LIMIT && !scripts.contains_key(name) {
            return Err(ScriptError::TooMany);
        }
        scripts.insert(name.to_owned(), script);
        Ok(())
    }

    /// Takes a script away and tells what it did; `None` when there is none of this name.
    pub fn remove(&self, name: &str) -> Option<ScriptReport<K>> {
        self.lock().remove(name).as_ref().map(report)
    }

    /// Every script and what it did.
    pub fn list(&self) -> BTreeMap<String, ScriptReport<K>> {
        let scripts = self.lock();
        scripts
            .iter()
            .map(|(name, script)| (name.clone(), report(script)))
            .collect()
    }

    /// Decides how the next request of `kind` is dealt with.
    pub fn conduct(&self, kind: K) -> Conduct {
        let mut delay = Duration::ZERO;
        for script in self.lock().values_mut() {
            match script.hit(kind) {
                None => {}
                Some(Act::Honest) => delay += script.delay().unwrap_or_default(),
                Some(act) => return Conduct { delay, act },
            }
        }
        Conduct {
            delay,
            act: Act::Honest,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Script<K>>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn report<K: RequestKind>(script: &Script<K>) -> ScriptReport<K> {
    ScriptReport {
        spec: script.spec.clone(),
        acted: script.acted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment_provider::domain::Kind;

    fn spec(behaviour: Behaviour) -> ScriptSpec<Kind> {
        ScriptSpec {
            behaviour,
            status: None,
            delay_ms: None,
            requests_per_second: None,
            share: 1.0,
            times: None,
            seed: 7,
            kind: None,
        }
    }

    fn acts(scripts: &Scripts<Kind>, count: usize) -> Vec<Act> {
        (0..count)
            .map(|_| scripts.conduct(Kind::Charge).act)
            .collect()
    }

    #[test]
    fn without_scripts_everybody_is_served() {
        let conduct = Scripts::default().conduct(Kind::Charge);
        assert_eq!(
            conduct,
            Conduct {
                delay: Duration::ZERO,
                act: Act::Honest
            }
        );
    }

    #[test]
    fn times_bounds_how_often_a_script_acts() {
        let scripts = Scripts::default();
        let twice = ScriptSpec {
            times: Some(2),
            ..spec(Behaviour::ErrorBody)
        };
        scripts.put("a", twice).expect("valid");
        assert_eq!(
            acts(&scripts, 3),
            [Act::ErrorBody, Act::ErrorBody, Act::Honest]
        );
        assert_eq!(scripts.list()["a"].acted, 2);
    }

    #[test]
    fn a_share_is_the_same_for_the_same_seed_and_about_right() {
        let draw = |seed| {
            let scripts = Scripts::default();
            let part = ScriptSpec {
                share: 0.25,
                seed,
                ..spec(Behaviour::Decline)
            };
            scripts.put("a", part).expect("valid");
            acts(&scripts, 2_000)
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let declined = draw(1).iter().filter(|act| **act == Act::Decline).count();
        assert!((400..600).contains(&declined), "{declined} of 2000");
    }

    #[test]
    fn share_nought_never_acts() {
        let scripts = Scripts::default();
        scripts
            .put(
                "a",
                ScriptSpec {
                    share: 0.0,
                    ..spec(Behaviour::Decline)
                },
            )
            .expect("valid");
        assert!(acts(&scripts, 500).iter().all(|act| *act == Act::Honest));
    }

    #[test]
    fn a_script_leaves_the_other_kind_alone() {
        let scripts = Scripts::default();
        let only = ScriptSpec {
            kind: Some(Kind::Refund),
            ..spec(Behaviour::Decline)
        };
        scripts.put("a", only).expect("valid");
        assert_eq!(scripts.conduct(Kind::Charge).act, Act::Honest);
        assert_eq!(scripts.conduct(Kind::Refund).act, Act::Decline);
    }

    #[test]
    fn slow_goes_together_with_what_comes_after_it() {
        let scripts = Scripts::default();
        let slow = ScriptSpec {
            delay_ms: Some(40),
            ..spec(Behaviour::Slow)
        };
        scripts.put("a-slow", slow).expect("valid");
        let failing = ScriptSpec {
            status: Some(503),
            ..spec(Behaviour::FailAfterBooking)
        };
        scripts.put("b-fail", failing).expect("valid");
        let conduct = scripts.conduct(Kind::Charge);
        assert_eq!(conduct.delay, Duration::from_millis(40));
        assert_eq!(conduct.act, Act::FailAfterBooking(503));
    }

    #[test]
    fn a_rate_limit_acts_only_on_what_exceeds_it() {
        let scripts = Scripts::default();
        let limit = ScriptSpec {
            requests_per_second: Some(3),
            ..spec(Behaviour::RateLimit)
        };
        scripts.put("a", limit).expect("valid");
        let acts = acts(&scripts, 5);
        assert_eq!(acts[..3], [Act::Honest, Act::Honest, Act::Honest]);
        assert_eq!(acts[3], Act::RateLimited(1));
        assert_eq!(scripts.list()["a"].acted, 2);
    }

    #[test]
    fn nonsense_is_refused() {
        let put = |spec| Scripts::<Kind>::default().put("a", spec);
        assert_eq!(
            put(ScriptSpec {
                share: 1.5,
                ..spec(Behaviour::Hang)
            }),
            Err(ScriptError::Share)
        );
        assert_eq!(
            put(ScriptSpec {
                share: f64::NAN,
                ..spec(Behaviour::Hang)
            }),
            Err(ScriptError::Share)
        );
        assert_eq!(put(spec(Behaviour::Slow)), Err(ScriptError::Delay));
        assert_eq!(put(spec(Behaviour::RateLimit)), Err(ScriptError::Rate));
        let status = ScriptSpec {
            status: Some(200),
            ..spec(Behaviour::FailBeforeBooking)
        };
        assert_eq!(put(status), Err(ScriptError::Status));
    }
}
