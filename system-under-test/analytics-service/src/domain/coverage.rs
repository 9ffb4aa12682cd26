//! Which offsets of a partition are there: intervals that grow together.

use std::collections::BTreeMap;

/// The offsets of a partition that are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The offset after the last, by the first; no two of them touch.
    intervals: BTreeMap<i64, i64>,
}

impl Coverage {
    /// Adds the offsets from `first` up to, not including, `next`.
    pub fn add(&mut self, mut first: i64, mut next: i64) {
        if first >= next {
            return;
        }
        while let Some((&other_first, &other_next)) = self.intervals.range(..=next).next_back() {
            if other_next < first {
                break;
            }
            self.intervals.remove(&other_first);
            first = first.min(other_first);
            next = next.max(other_next);
        }
        self.intervals.insert(first, next);
    }

    /// The first offset from `from` on that is not there.
    pub fn contiguous_from(&self, from: i64) -> i64 {
        match self.intervals.range(..=from).next_back() {
            Some((_, &next)) => next.max(from),
            None => from,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn intervals_that_touch_become_one() {
        let mut coverage = Coverage::default();
        for (first, next) in [(10, 12), (0, 5), (12, 20), (3, 7)] {
            coverage.add(first, next);
        }
        assert_eq!(coverage.contiguous_from(0), 7);
        coverage.add(7, 10);
        assert_eq!(coverage.contiguous_from(0), 20);
        assert_eq!(coverage.contiguous_from(25), 25);
    }

    proptest! {
        /// The same as a set of offsets, in whatever order and however often the intervals come.
        #[test]
        fn it_is_a_set_of_offsets(intervals in proptest::collection::vec((0..40_i64, 0..8_i64), 0..20), from in 0..50_i64) {
            let mut coverage = Coverage::default();
            let mut offsets = std::collections::BTreeSet::new();
            for (first, length) in intervals {
                coverage.add(first, first + length);
                offsets.extend(first..first + length);
            }
            let missing = (from..).find(|offset| !offsets.contains(offset));
            prop_assert_eq!(Some(coverage.contiguous_from(from)), missing);
        }
    }
}
