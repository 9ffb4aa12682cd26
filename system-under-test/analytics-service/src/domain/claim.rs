//! What dashboards say about their own completeness and freshness.

use std::collections::BTreeMap;

use super::coverage::Coverage;

/// What is said about one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The partition.
    pub partition: i32,
    /// Every event up to `end_offset` is counted.
    pub complete: bool,
    /// How many messages up to `end_offset` are not counted yet.
    pub behind: i64,
    /// The offset at which the partition ended when the batch began.
    pub end_offset: i64,
    /// The first offset that is not counted.
    pub counted_to: i64,
}

/// What a build says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// By partition; empty when nobody knows where the topic ends.
    pub partitions: Vec<Claim>,
    /// Why the dashboards are not complete; empty when they are.
    pub reasons: Vec<String>,
}

/// What is looked at before something is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Honesty {
    /// Whether missing events are looked for.
    pub completeness: bool,
    /// Whether the distance to the end of the topic is told.
    pub freshness: bool,
}

/// What can be said with this coverage when the partitions have these bounds (`first..end`), or when nobody could ask for
/// them; `damaged` are objects that are there but cannot be read in full.
pub fn claim(
    coverage: &BTreeMap<i32, Coverage>,
    bounds: Result<&BTreeMap<i32, (i64, i64)>, &str>,
    damaged: &[String],
    honesty: Honesty,
) -> Claims {
    let mut claims = Claims::default();
    match bounds {
        Ok(bounds) => {
            for (&partition, &(first, end)) in bounds {
                let reached = coverage
                    .get(&partition)
                    .map_or(first, |covered| covered.contiguous_from(first));
                let missing = (end - reached).max(0);
                if missing > 0 {
                    claims.reasons.push(format!(
                        "partition {partition} lacks {missing} of its messages"
                    ));
                }
                claims.partitions.push(Claim {
                    partition,
                    complete: missing == 0 || !honesty.completeness,
                    behind: if honesty.freshness { missing } else { 0 },
                    end_offset: end,
                    counted_to: reached,
                });
            }
        }
        Err(reason) => claims
            .reasons
            .push(format!("the queue cannot be asked where it ends: {reason}")),
    }
    let damaged = damaged.iter().map(|object| format!("damaged: {object}"));
    claims.reasons.extend(damaged);
    if !honesty.completeness {
        claims.reasons.clear();
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    const HONEST: Honesty = Honesty {
        completeness: true,
        freshness: true,
    };

    fn covered(ranges: &[(i32, i64, i64)]) -> BTreeMap<i32, Coverage> {
        let mut coverage: BTreeMap<i32, Coverage> = BTreeMap::new();
        for &(partition, first, next) in ranges {
            coverage.entry(partition).or_default().add(first, next);
        }
        coverage
    }

    fn bounds() -> BTreeMap<i32, (i64, i64)> {
        BTreeMap::from([(0, (0, 10)), (1, (5, 5)), (2, (2, 6))])
    }

    #[test]
    fn everything_is_there() {
        let claims = claim(
            &covered(&[(0, 0, 10), (2, 1, 7)]),
            Ok(&bounds()),
            &[],
            HONEST,
        );
        assert!(claims.reasons.is_empty(), "{claims:?}");
        assert!(
            claims
                .partitions
                .iter()
                .all(|one| one.complete && one.behind == 0)
        );
    }

    #[test]
    fn a_hole_counts_up_to_the_end() {
        let claims = claim(
            &covered(&[(0, 0, 4), (0, 6, 10), (2, 2, 6)]),
            Ok(&bounds()),
            &[],
            HONEST,
        );
        let first = claims.partitions[0];
        assert_eq!(
            (first.complete, first.behind, first.counted_to),
            (false, 6, 4)
        );
        assert_eq!(claims.reasons, ["partition 0 lacks 6 of its messages"]);
    }

    #[test]
    fn what_nobody_can_know_is_not_claimed() {
        let claims = claim(
            &covered(&[(0, 0, 10)]),
            Err("timed out"),
            &["x is short".to_owned()],
            HONEST,
        );
        assert!(claims.partitions.is_empty());
        assert_eq!(claims.reasons.len(), 2);
    }

    #[test]
    fn without_looking_everything_is_claimed() {
        let careless = Honesty {
            completeness: false,
            freshness: false,
        };
        let claims = claim(&covered(&[]), Ok(&bounds()), &["x".to_owned()], careless);
        assert!(claims.reasons.is_empty());
        assert!(
            claims
                .partitions
                .iter()
                .all(|one| one.complete && one.behind == 0)
        );
    }
}
