//! How much memory instances held while customers ordered: is it flat, or does it grow with the work?

use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::verdict::{Evidence, SUBJECTS_NAMED, Verdict};

/// Name of the sampled value: what the kernel says a process holds in RAM.
pub const RESIDENT_MEMORY: &str = "resident_memory_bytes";

/// Fewest samples of one part that its median may rest on.
const FEWEST_SAMPLES: usize = 2;

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// A sample of one instance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MemorySample {
    pub(crate) at_us: u64,
    pub(crate) bytes: f64,
}

/// The memory of one instance while customers ordered. The first quarter of that time is left out: caches, pools and
/// connections fill then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// The instance.
    pub instance: String,
    /// Median of the second quarter, in bytes.
    pub early_bytes: f64,
    /// Median of the last quarter, in bytes.
    pub late_bytes: f64,
    /// The most that was seen in the whole drill, in bytes.
    pub most_bytes: f64,
}

impl MemoryUse {
    /// How much more was held late than early: 0.3 is 30 percent.
    pub fn growth(&self) -> f64 {
        self.late_bytes / self.early_bytes - 1.0
    }

    /// `order-service-1: 11.8 MiB early, 12.1 MiB late (+3 %), at most 12.4 MiB`
    pub fn describe(&self) -> String {
        format!(
            "{}: {:.1} MiB early, {:.1} MiB late ({:+.0} %), at most {:.1} MiB",
            self.instance,
            self.early_bytes / MEBIBYTE,
            self.late_bytes / MEBIBYTE,
            self.growth() * 100.0,
            self.most_bytes / MEBIBYTE,
        )
    }
}

/// The memory of every instance, in the order of their names.
///
/// # Errors
/// Nothing was sampled, customers never ordered, or it was too short to tell; the reason in words.
pub fn memory_use(history: &History) -> Result<Vec<MemoryUse>, String> {
    if history.memory.is_empty() {
        return Err("no memory was sampled".to_owned());
    }
    let operations = &history.rows.operations;
    let start = operations.iter().map(|row| row.started_us).min();
    let end = operations.iter().map(|row| row.ended_us).max();
    let (Some(start), Some(end)) = (start, end) else {
        return Err("no customer attempted anything".to_owned());
    };
    let quarter = end.saturating_sub(start) / 4;
    let parts = [(start + quarter, start + 2 * quarter), (end - quarter, end)];
    history
        .memory
        .iter()
        .map(|(instance, samples)| {
            let [early, late] = parts.map(|(from, to)| median_between(samples, from, to));
            let (Some(early_bytes), Some(late_bytes)) = (early, late) else {
                return Err(format!(
                    "the memory of {instance} was not sampled {FEWEST_SAMPLES} times in the second and in the last quarter of the {:.1} s of customers' load: let customers order longer",
                    end.saturating_sub(start) as f64 / 1e6
                ));
            };
            let most_bytes = samples.iter().map(|sample| sample.bytes).fold(0.0, f64::max);
            Ok(MemoryUse {
                instance: instance.clone(),
                early_bytes,
                late_bytes,
                most_bytes,
            })
        })
        .collect()
}

fn median_between(samples: &[MemorySample], from: u64, to: u64) -> Option<f64> {
    let mut bytes: Vec<f64> = samples
        .iter()
        .filter(|sample| (from..=to).contains(&sample.at_us) && sample.bytes > 0.0)
        .map(|sample| sample.bytes)
        .collect();
    bytes.sort_by(f64::total_cmp);
    (bytes.len() >= FEWEST_SAMPLES).then(|| bytes[bytes.len() / 2])
}

/// Whether no instance grew by more than this share.
pub(crate) fn growth_bounded(history: &History, at_most: f64) -> Verdict {
    let uses = match memory_use(history) {
        Ok(uses) => uses,
        Err(reason) => return Verdict::Undetermined { reason },
    };
    let mut grown: Vec<&MemoryUse> = uses.iter().filter(|one| one.growth() > at_most).collect();
    let checked = uses.len() as u64;
    grown.sort_by(|one, other| other.growth().total_cmp(&one.growth()));
    let Some(worst) = grown.first() else {
        return Verdict::Holds { checked };
    };
    Verdict::Violated(Evidence {
        count: grown.len() as u64,
        checked,
        sentence: format!(
            "the memory of {} of {checked} instances grew by more than {:.0} %: {}",
            grown.len(),
            at_most * 100.0,
            worst.describe()
        ),
        worst: None,
        subjects: grown
            .iter()
            .take(SUBJECTS_NAMED)
            .map(|one| one.instance.clone())
            .collect(),
        story: uses.iter().map(MemoryUse::describe).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Operation, Outcome, Record};

    /// 100 samples in 100 s of load; `bytes` says what is held at each second.
    fn history(bytes: impl Fn(u64) -> f64) -> History {
        let operation = |second: u64| {
            Record::Operation(Operation {
                reference: format!("r-{second}"),
                attempt: 1,
                customer: "c".into(),
                idempotency_key: None,
                started_us: second * 1_000_000,
                ended_us: second * 1_000_000,
                lines: Vec::new(),
                amount_minor: 1,
                forged: None,
                outcome: Outcome::Refused {
                    reason: "closed".into(),
                },
            })
        };
        let samples = (0..100).map(|second| Record::Sample {
            at_us: second * 1_000_000,
            source: "a-1".into(),
            metric: RESIDENT_MEMORY.into(),
            value: bytes(second),
        });
        History::from_records([operation(0), operation(100)].into_iter().chain(samples))
    }

    #[test]
    fn filling_up_at_the_start_is_no_growth() {
        let warm = history(|second| if second < 20 { 1e6 } else { 9e6 });
        assert_eq!(growth_bounded(&warm, 0.3), Verdict::Holds { checked: 1 });
    }

    #[test]
    fn one_spike_is_no_growth_and_is_told() {
        let spike = history(|second| if second == 90 { 99e6 } else { 5e6 });
        let uses = memory_use(&spike).expect("enough samples");
        assert_eq!((uses[0].late_bytes, uses[0].most_bytes), (5e6, 99e6));
    }

    #[test]
    fn growth_with_the_work_is_found() {
        let leak = history(|second| 5e6 + 1e5 * second as f64);
        let Verdict::Violated(evidence) = growth_bounded(&leak, 0.3) else {
            panic!("a leak is not found");
        };
        assert_eq!(evidence.subjects, ["a-1"]);
    }

    #[test]
    fn nothing_is_said_without_samples_or_in_too_short_a_time() {
        let none = History::from_records([]);
        assert!(matches!(
            growth_bounded(&none, 0.3),
            Verdict::Undetermined { .. }
        ));
        let seldom = history(|second| if second < 60 { 5e6 } else { 0.0 });
        assert!(matches!(
            growth_bounded(&seldom, 0.3),
            Verdict::Undetermined { .. }
        ));
    }
}
