//! Which instance gets the next request, and which one is ejected for a while. Pure: the caller says what time it is.
//!
//! Requests go to the instance with the fewest under way, in turn among equals. An instance that fails several times in a
//! row is ejected; when its time is over it is probed, and only a probe that succeeds brings it back. At most half of the
//! instances are ejected at a time: when all of them fail, the cause is not an instance. Likewise an instance that says
//! that it is not ready gets nothing, unless all of them say so.

use std::time::{Duration, Instant};

/// When an instance is ejected, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EjectionPolicy {
    /// Failures in a row that eject.
    pub failures: u32,
    /// How long the first ejection lasts; doubles with each ejection or failed probe without a success between them.
    pub base: Duration,
    /// Longest ejection.
    pub cap: Duration,
}

/// Whether an instance takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Gets requests; so many failed in a row.
    InRotation {
        /// Failures in a row.
        failures: u32,
    },
    /// Gets none before this moment.
    Ejected {
        /// When it is probed.
        until: Instant,
    },
    /// A probe is under way.
    HalfOpen,
}

#[derive(Debug)]
struct Member {
    standing: Standing,
    /// What it said last when it was asked whether it is ready.
    ready: bool,
    in_flight: usize,
    /// Ejections and failed probes since the last success.
    ejections: u32,
}

/// The instances, by number.
#[derive(Debug)]
pub struct Rotation {
    /// `None` when outlier ejection is off: nobody is ever ejected.
    policy: Option<EjectionPolicy>,
    members: Vec<Member>,
    turn: usize,
}

impl Rotation {
    /// `count` instances, all in rotation.
    pub fn new(count: usize, policy: Option<EjectionPolicy>) -> Self {
        let member = || Member {
            standing: Standing::InRotation { failures: 0 },
            ready: true,
            in_flight: 0,
            ejections: 0,
        };
        Self {
            policy,
            members: (0..count).map(|_| member()).collect(),
            turn: 0,
        }
    }

    /// Standing of an instance.
    pub fn standing(&self, member: usize) -> Standing {
        self.members[member].standing
    }

    /// How many instances are not in rotation.
    pub fn ejected(&self) -> usize {
        let out = |member: &&Member| !matches!(member.standing, Standing::InRotation { .. });
        self.members.iter().filter(out).count()
    }

    /// Chooses the instance for the next attempt of a request that was already tried on `tried`, and counts it as under
    /// way there; every choice must be given back with [`Rotation::finished`].
    pub fn choose(&mut self, tried: &[usize]) -> Option<usize> {
        let count = self.members.len();
        let turn = self.turn;
        let takes_part = |member: &Member| matches!(member.standing, Standing::InRotation { .. });
        let any_ready = self
            .members
            .iter()
            .any(|member| takes_part(member) && member.ready);
        let chosen = (0..count)
            .map(|step| (turn + step) % count)
            .filter(|member| !tried.contains(member))
            .filter(|&member| takes_part(&self.members[member]))
            .filter(|&member| self.members[member].ready || !any_ready)
            .min_by_key(|&member| self.members[member].in_flight)?;
        self.members[chosen].in_flight += 1;
        // A repetition takes nobody's turn: else the instance that made it necessary would be the next one's first, always.
        if tried.is_empty() {
            self.turn = (chosen + 1) % count;
        }
        Some(chosen)
    }

    /// An attempt is over, whatever its result.
    pub fn finished(&mut self, member: usize) {
        let member = &mut self.members[member];
        member.in_flight = member.in_flight.saturating_sub(1);
    }

    /// The instance was asked whether it is ready; tells whether that is news.
    pub fn says_ready(&mut self, member: usize, ready: bool) -> bool {
        std::mem::replace(&mut self.members[member].ready, ready) != ready
    }

    /// The instance answered as an instance that works.
    pub fn succeeded(&mut self, member: usize) {
        let member = &mut self.members[member];
        if let Standing::InRotation { failures } = &mut member.standing {
            *failures = 0;
            member.ejections = 0;
        }
    }

    /// The instance failed; tells whether it was ejected for it.
    pub fn failed(&mut self, member: usize, now: Instant) -> bool {
        let Some(policy) = self.policy else {
            return false;
        };
        let room = self.ejected() < self.members.len() / 2;
        let Standing::InRotation { failures } = &mut self.members[member].standing else {
            return false;
        };
        *failures = failures.saturating_add(1);
        if *failures < policy.failures || !room {
            return false;
        }
        self.eject(member, policy, now);
        true
    }

    /// The ejected instances whose time is over; a probe of each must follow and report.
    pub fn due_for_probe(&mut self, now: Instant) -> Vec<usize> {
        let mut due = Vec::new();
        for (number, member) in self.members.iter_mut().enumerate() {
            if matches!(member.standing, Standing::Ejected { until } if until <= now) {
                member.standing = Standing::HalfOpen;
                due.push(number);
            }
        }
        due
    }

    /// A probe succeeded: the instance is back; one more failure ejects it again, for longer.
    pub fn probe_succeeded(&mut self, member: usize) {
        let failures = self
            .policy
            .map_or(0, |policy| policy.failures.saturating_sub(1));
        let member = &mut self.members[member];
        if member.standing == Standing::HalfOpen {
            member.standing = Standing::InRotation { failures };
        }
    }

    /// A probe failed: the instance stays away, for longer.
    pub fn probe_failed(&mut self, member: usize, now: Instant) {
        if let (Some(policy), Standing::HalfOpen) = (self.policy, self.standing(member)) {
            self.eject(member, policy, now);
        }
    }

    fn eject(&mut self, member: usize, policy: EjectionPolicy, now: Instant) {
        let member = &mut self.members[member];
        let doublings = member.ejections.min(31);
        let wait = policy
            .base
            .checked_mul(1 << doublings)
            .unwrap_or(policy.cap)
            .min(policy.cap);
        member.ejections = member.ejections.saturating_add(1);
        member.standing = Standing::Ejected { until: now + wait };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: EjectionPolicy = EjectionPolicy {
        failures: 3,
        base: Duration::from_millis(500),
        cap: Duration::from_secs(4),
    };

    fn fail(rotation: &mut Rotation, member: usize, times: u32, now: Instant) -> bool {
        (0..times)
            .map(|_| rotation.failed(member, now))
            .fold(false, |any, one| any | one)
    }

    #[test]
    fn idle_instances_take_turns() {
        let mut rotation = Rotation::new(3, Some(POLICY));
        let chosen: Vec<_> = (0..6)
            .filter_map(|_| {
                let chosen = rotation.choose(&[])?;
                rotation.finished(chosen);
                Some(chosen)
            })
            .collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn who_is_not_ready_gets_nothing_unless_nobody_is() {
        let mut rotation = Rotation::new(2, Some(POLICY));
        assert!(rotation.says_ready(0, false));
        assert!(!rotation.says_ready(0, false), "no news");
        assert_eq!(rotation.choose(&[]), Some(1));
        assert_eq!(rotation.choose(&[]), Some(1), "however busy");
        assert_eq!(rotation.choose(&[1]), None, "not even for a repetition");
        rotation.says_ready(1, false);
        assert_eq!(rotation.choose(&[]), Some(0));
        rotation.says_ready(0, true);
        assert_eq!(rotation.choose(&[]), Some(0));
    }

    #[test]
    fn an_ejected_instance_that_is_ready_does_not_keep_the_others_from_serving() {
        let mut rotation = Rotation::new(2, Some(POLICY));
        fail(&mut rotation, 1, 3, Instant::now());
        rotation.says_ready(0, false);
        assert_eq!(rotation.choose(&[]), Some(0));
    }

    #[test]
    fn the_least_busy_is_preferred_and_the_tried_one_avoided() {
        let mut rotation = Rotation::new(2, Some(POLICY));
        assert_eq!(rotation.choose(&[]), Some(0));
        assert_eq!(rotation.choose(&[]), Some(1));
        rotation.finished(1);
        assert_eq!(rotation.choose(&[]), Some(1));
        assert_eq!(rotation.choose(&[1]), Some(0));
        assert_eq!(rotation.choose(&[0, 1]), None);
    }

    #[test]
    fn a_repetition_takes_nobodys_turn() {
        let mut rotation = Rotation::new(2, None);
        let mut first = Vec::new();
        for _ in 0..4 {
            let chosen = rotation.choose(&[]).expect("somebody");
            rotation.finished(chosen);
            let other = rotation.choose(&[chosen]).expect("the other one");
            rotation.finished(other);
            first.push(chosen);
        }
        assert_eq!(first, [0, 1, 0, 1]);
    }

    #[test]
    fn failures_in_a_row_eject_and_a_success_forgives() {
        let now = Instant::now();
        let mut rotation = Rotation::new(2, Some(POLICY));
        assert!(!fail(&mut rotation, 0, 2, now));
        rotation.succeeded(0);
        assert!(!fail(&mut rotation, 0, 2, now));
        assert!(rotation.failed(0, now));
        assert_eq!(
            rotation.standing(0),
            Standing::Ejected {
                until: now + POLICY.base
            }
        );
        for _ in 0..5 {
            assert_eq!(rotation.choose(&[]), Some(1));
        }
    }

    #[test]
    fn half_of_the_instances_stay_whatever_happens() {
        let now = Instant::now();
        let mut rotation = Rotation::new(2, Some(POLICY));
        assert!(fail(&mut rotation, 0, 3, now));
        assert!(!fail(&mut rotation, 1, 30, now));
        assert_eq!(rotation.choose(&[]), Some(1));
        let mut alone = Rotation::new(1, Some(POLICY));
        assert!(!fail(&mut alone, 0, 30, now));
    }

    #[test]
    fn only_a_probe_brings_an_instance_back_and_failures_keep_it_away_longer() {
        let now = Instant::now();
        let mut rotation = Rotation::new(2, Some(POLICY));
        fail(&mut rotation, 0, 3, now);
        assert!(rotation.due_for_probe(now).is_empty());
        let later = now + POLICY.base;
        assert_eq!(rotation.due_for_probe(later), [0]);
        assert!(
            rotation.due_for_probe(later).is_empty(),
            "one probe at a time"
        );
        assert_eq!(rotation.choose(&[1]), None, "customers are no probes");
        rotation.probe_failed(0, later);
        assert_eq!(
            rotation.standing(0),
            Standing::Ejected {
                until: later + POLICY.base * 2
            }
        );
        let later = later + POLICY.base * 2;
        assert_eq!(rotation.due_for_probe(later), [0]);
        rotation.probe_succeeded(0);
        assert_eq!(rotation.choose(&[1]), Some(0));
        assert!(rotation.failed(0, later), "one more failure ejects again");
    }

    #[test]
    fn without_ejection_everybody_stays() {
        let mut rotation = Rotation::new(2, None);
        assert!(!fail(&mut rotation, 0, 100, Instant::now()));
        assert_eq!(rotation.ejected(), 0);
    }

    proptest! {
        /// Whatever happens, somebody is left to serve, an ejection never exceeds its cap, and counts come out even.
        #[test]
        fn somebody_is_always_left(
            count in 1usize..6,
            steps in proptest::collection::vec((0u8..6, 0usize..6, 0u64..2_000), 1..300),
        ) {
            let mut now = Instant::now();
            let mut rotation = Rotation::new(count, Some(POLICY));
            let mut under_way = Vec::new();
            let mut probing = Vec::new();
            for (step, member, passed_ms) in steps {
                now += Duration::from_millis(passed_ms);
                let member = member % count;
                match step {
                    0 => under_way.push(rotation.choose(&[]).expect("somebody is left")),
                    1 => if let Some(done) = under_way.pop() { rotation.finished(done) },
                    2 => rotation.succeeded(member),
                    3 => { rotation.failed(member, now); }
                    4 => probing.extend(rotation.due_for_probe(now)),
                    _ => if let Some(probed) = probing.pop() {
                        if passed_ms % 2 == 0 { rotation.probe_succeeded(probed) }
                        else { rotation.probe_failed(probed, now) }
                    },
                }
                prop_assert!(rotation.ejected() <= count / 2);
                for number in 0..count {
                    if let Standing::Ejected { until } = rotation.standing(number) {
                        prop_assert!(until <= now + POLICY.cap);
                    }
                }
                let counted: usize = rotation.members.iter().map(|member| member.in_flight).sum();
                prop_assert_eq!(counted, under_way.len());
            }
        }
    }
}
