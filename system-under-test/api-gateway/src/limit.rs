//! A rate limit for each client, so that one greedy client does not starve the others. The memory for it is bounded.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// What a client may do.
#[derive(Debug, Clone, Copy)]
pub struct ClientLimit {
    /// Requests in a second, on average, and how many at once.
    pub quota: Quota,
    /// Clients that are remembered; those beyond share one allowance.
    pub clients: usize,
}

/// The allowances of all clients.
pub struct ClientLimits {
    limit: ClientLimit,
    /// After this time without a request a client's allowance is full again, so forgetting it changes nothing.
    forget_after: Duration,
    by_client: Mutex<HashMap<String, Allowance>>,
    /// For the clients that there is no room for.
    shared: DefaultDirectRateLimiter,
    clock: DefaultClock,
}

struct Allowance {
    limiter: DefaultDirectRateLimiter,
    last_used: Instant,
}

impl ClientLimits {
    /// Full allowances for everybody.
    pub fn new(limit: ClientLimit) -> Self {
        Self {
            limit,
            forget_after: limit.quota.burst_size_replenished_in(),
            by_client: Mutex::new(HashMap::new()),
            shared: RateLimiter::direct(limit.quota),
            clock: DefaultClock::default(),
        }
    }

    /// Takes one request off the allowance of `client`.
    ///
    /// # Errors
    /// How long the client has to wait.
    pub fn take(&self, client: &str, now: Instant) -> Result<(), Duration> {
        let mut clients = self
            .by_client
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !clients.contains_key(client) {
            if clients.len() >= self.limit.clients {
                clients.retain(|_, known| now.duration_since(known.last_used) < self.forget_after);
            }
            if clients.len() >= self.limit.clients {
                drop(clients);
                return self.check(&self.shared);
            }
        }
        let allowance = clients
            .entry(client.to_owned())
            .or_insert_with(|| Allowance {
                limiter: RateLimiter::direct(self.limit.quota),
                last_used: now,
            });
        allowance.last_used = now;
        self.check(&allowance.limiter)
    }

    /// Clients remembered at the moment.
    pub fn remembered(&self) -> usize {
        self.by_client
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    fn check(&self, limiter: &DefaultDirectRateLimiter) -> Result<(), Duration> {
        limiter
            .check()
            .map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn limits(burst: u32, clients: usize) -> ClientLimits {
        let slow = Quota::with_period(Duration::from_secs(60)).expect("a period");
        let burst = NonZeroU32::new(burst).expect("a burst");
        ClientLimits::new(ClientLimit {
            quota: slow.allow_burst(burst),
            clients,
        })
    }

    #[test]
    fn a_greedy_client_does_not_starve_the_others() {
        let limits = limits(3, 10);
        let now = Instant::now();
        let granted = (0..100)
            .filter(|_| limits.take("greedy", now).is_ok())
            .count();
        assert_eq!(granted, 3);
        let wait = limits.take("greedy", now).expect_err("used up");
        assert!(wait > Duration::from_secs(50) && wait <= Duration::from_secs(60));
        assert!((0..3).all(|_| limits.take("modest", now).is_ok()));
    }

    #[test]
    fn memory_is_bounded_and_those_without_room_share() {
        let limits = limits(2, 3);
        let now = Instant::now();
        let granted = (0..50)
            .filter(|n| limits.take(&format!("c-{n}"), now).is_ok())
            .count();
        assert_eq!(limits.remembered(), 3);
        assert_eq!(granted, 3 + 2);
    }

    #[test]
    fn idle_clients_make_room() {
        let limits = limits(2, 3);
        let now = Instant::now();
        for n in 0..3 {
            assert!(limits.take(&format!("early-{n}"), now).is_ok());
        }
        let later = now + Duration::from_secs(200);
        assert!((0..3).all(|n| limits.take(&format!("late-{n}"), later).is_ok()));
        assert_eq!(limits.remembered(), 3);
    }
}
