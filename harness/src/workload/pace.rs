//! When customers come.

use std::time::Duration;

/// How fast customers come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Open loop: so many start each second, whether earlier ones were answered or not.
    PerSecond(f64),
    /// Closed loop: so many customers, each orders again as soon as the last order was answered.
    Concurrent(u32),
}

/// Customers of an open loop that may be under way at once; later ones are held back and counted.
pub const OPEN_LOOP_LIMIT: usize = 2_000;

impl Pace {
    /// When the `index`-th customer of an open loop (from 0) is due after the start; none for a closed loop.
    pub fn due(self, index: u64) -> Option<Duration> {
        match self {
            #[allow(clippy::cast_precision_loss)]
            Self::PerSecond(rate) if rate > 0.0 => {
                Some(Duration::from_secs_f64(index as f64 / rate))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_is_evenly_spaced() {
        assert_eq!(Pace::PerSecond(20.0).due(0), Some(Duration::ZERO));
        assert_eq!(
            Pace::PerSecond(20.0).due(30),
            Some(Duration::from_millis(1_500))
        );
        assert_eq!(Pace::Concurrent(3).due(1), None);
    }
}
