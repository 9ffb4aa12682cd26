//! What happened in a drill over time: answers of customers as stacked bars, faults as bands behind them. Drawn from the
//! journal, as SVG text.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use firedrill_oracle::{
    Record, parse_line,
    record::{Operation, Outcome, Settlement},
};

/// Bars across the drawing.
const BARS: usize = 72;
/// Width of the drawing, in user units.
const WIDTH: f64 = 720.0;
/// Height of the bars' field.
const FIELD: f64 = 90.0;
/// Height of the band of each fault, above the field.
const BAND: f64 = 16.0;
/// Most faults that get a band of their own.
const BANDS: usize = 8;
/// Below the field: times and phases.
const FOOT: f64 = 30.0;

/// What a journal tells about time.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Timeline {
    answers: Vec<(u64, Kind)>,
    faults: Vec<Band>,
    phases: Vec<(u64, String)>,
    settled: Option<(u64, Settlement)>,
    end_us: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Done,
    Refused,
    Unknown,
}

#[derive(Debug, Clone, PartialEq)]
struct Band {
    fault: String,
    target: String,
    from_us: u64,
    to_us: Option<u64>,
}

impl Timeline {
    /// Reads what a journal tells about time.
    pub(super) fn read(journal: &Path) -> Result<Self, String> {
        let file = File::open(journal).map_err(|error| error.to_string())?;
        let mut timeline = Self::default();
        for (line, number) in BufReader::new(file).lines().zip(1_usize..) {
            let line = line.map_err(|error| format!("line {number}: {error}"))?;
            // Facts are most of a journal and have no time.
            if line.starts_with(r#"{"record":"fact""#) {
                continue;
            }
            match parse_line(&line) {
                Ok(record) => timeline.take(record),
                // The last line of a drill that was killed may be cut off.
                Err(_) => break,
            }
        }
        Ok(timeline)
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Operation(Operation {
                ended_us, outcome, ..
            }) => {
                let kind = match outcome {
                    Outcome::Done { .. } => Kind::Done,
                    Outcome::Refused { .. } => Kind::Refused,
                    Outcome::Unknown { .. } => Kind::Unknown,
                };
                self.answers.push((ended_us, kind));
                self.reaches(ended_us);
            }
            Record::FaultStarted {
                at_us,
                fault,
                target,
                ..
            } => {
                self.faults.push(Band {
                    fault,
                    target,
                    from_us: at_us,
                    to_us: None,
                });
                self.reaches(at_us);
            }
            Record::FaultHealed { at_us, fault, .. } => {
                let band = self
                    .faults
                    .iter_mut()
                    .find(|band| band.fault == fault && band.to_us.is_none());
                if let Some(band) = band {
                    band.to_us = Some(at_us);
                }
                self.reaches(at_us);
            }
            Record::Phase { at_us, phase } => {
                self.phases.push((at_us, phase));
                self.reaches(at_us);
            }
            Record::Settled { at_us, outcome, .. } => {
                self.settled = Some((at_us, outcome));
                self.reaches(at_us);
            }
            _ => {}
        }
    }

    fn reaches(&mut self, at_us: u64) {
        self.end_us = self.end_us.max(at_us);
    }

    /// The drawing; none where nothing happened.
    pub(super) fn svg(&self) -> Option<String> {
        if self.end_us == 0 || (self.answers.is_empty() && self.faults.is_empty()) {
            return None;
        }
        let top = BAND * bands(self.faults.len());
        let height = top + FIELD + FOOT;
        let mut svg = format!(
            r#"<svg class="timeline" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{}">"#,
            escaped(&self.in_words())
        );
        self.draw_faults(&mut svg, top);
        self.draw_bars(&mut svg, top);
        self.draw_foot(&mut svg, top + FIELD);
        svg.push_str("</svg>");
        Some(svg)
    }

    fn in_words(&self) -> String {
        let of = |kind| self.answers.iter().filter(|(_, own)| *own == kind).count();
        format!(
            "{} attempts accepted, {} refused, {} unknown, within {:.1} seconds; {} times a fault was in force",
            of(Kind::Done),
            of(Kind::Refused),
            of(Kind::Unknown),
            seconds(self.end_us),
            self.faults.len()
        )
    }

    fn x(&self, at_us: u64) -> f64 {
        WIDTH * seconds(at_us.min(self.end_us)) / seconds(self.end_us)
    }

    fn draw_faults(&self, svg: &mut String, top: f64) {
        for (band, row) in self.faults.iter().zip(0_u32..) {
            let row = f64::from(row).min(bands(BANDS) - 1.0);
            let (from, to) = (
                self.x(band.from_us),
                self.x(band.to_us.unwrap_or(self.end_us)),
            );
            let (width, y) = ((to - from).max(2.0), BAND * row);
            let tall = top + FIELD - y;
            let title = escaped(&format!("{} on {}", band.fault, band.target));
            // The name stands where there is room: right of the band's start, or left of it near the end.
            let (at, anchor) = if from > WIDTH * 0.6 {
                (to.min(WIDTH) - 4.0, "end")
            } else {
                (from + 4.0, "start")
            };
            let _ = write!(
                svg,
                r#"<g class="fault"><title>{title}</title><rect class="area" x="{from:.1}" y="{y:.1}" width="{width:.1}" height="{tall:.1}"/><rect class="band" x="{from:.1}" y="{y:.1}" width="{width:.1}" height="{:.1}"/><text x="{at:.1}" y="{:.1}" text-anchor="{anchor}">{}</text></g>"#,
                BAND - 2.0,
                y + BAND - 5.0,
                escaped(&band.fault),
            );
        }
    }

    fn draw_bars(&self, svg: &mut String, top: f64) {
        let mut bars: BTreeMap<usize, [u32; 3]> = BTreeMap::new();
        for (at_us, kind) in &self.answers {
            let share = seconds(*at_us) / seconds(self.end_us);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let bar = ((share * BARS as f64) as usize).min(BARS - 1);
            bars.entry(bar).or_default()[*kind as usize] += 1;
        }
        let most = bars
            .values()
            .map(|counts| counts.iter().sum::<u32>())
            .max()
            .unwrap_or(1)
            .max(1);
        #[allow(clippy::cast_precision_loss)]
        let step = WIDTH / BARS as f64;
        for (bar, counts) in &bars {
            #[allow(clippy::cast_precision_loss)]
            let x = step * *bar as f64 + 0.5;
            let mut floor = top + FIELD;
            for (count, class) in counts.iter().zip(["done", "refused", "unknown"]) {
                if *count == 0 {
                    continue;
                }
                let tall = (FIELD - 6.0) * f64::from(*count) / f64::from(most);
                floor -= tall;
                let _ = write!(
                    svg,
                    r#"<rect class="{class}" x="{x:.1}" y="{floor:.1}" width="{:.1}" height="{tall:.1}"><title>{count} {}</title></rect>"#,
                    step - 1.0,
                    in_words(class)
                );
            }
        }
    }

    fn draw_foot(&self, svg: &mut String, y: f64) {
        let _ = write!(
            svg,
            r#"<line class="axis" x1="0" y1="{y:.1}" x2="{WIDTH}" y2="{y:.1}"/>"#
        );
        for part in 0_u8..=4 {
            let share = f64::from(part) / 4.0;
            let anchor = match part {
                0 => "start",
                4 => "end",
                _ => "middle",
            };
            let _ = write!(
                svg,
                r#"<text class="time" x="{:.1}" y="{:.1}" text-anchor="{anchor}">{:.1} s</text>"#,
                WIDTH * share,
                y + 13.0,
                seconds(self.end_us) * share
            );
        }
        let settled = self.settled.map(|(at_us, outcome)| {
            let words = match outcome {
                Settlement::Settled => "at rest",
                Settlement::Stuck => "stuck",
                Settlement::TimedOut => "never at rest",
            };
            (at_us, words.to_owned())
        });
        let phases = self
            .phases
            .iter()
            .filter(|(_, phase)| matches!(phase.as_str(), "load" | "settle"))
            .map(|(at_us, phase)| {
                let words = if phase == "load" {
                    "ready"
                } else {
                    "customers left"
                };
                (*at_us, words.to_owned())
            });
        let mut free_from = -1.0_f64;
        for (at_us, words) in phases.chain(settled) {
            let x = self.x(at_us);
            let _ = write!(
                svg,
                r#"<line class="mark" x1="{x:.1}" y1="{:.1}" x2="{x:.1}" y2="{:.1}"><title>{words}</title></line>"#,
                y - 6.0,
                y + 4.0
            );
            // Two moments close together would be written over each other.
            let width = 5.5 * f64::from(u16::try_from(words.len()).unwrap_or(20));
            let start = x.min(WIDTH - width);
            if start >= free_from {
                free_from = start + width + 8.0;
                let _ = write!(
                    svg,
                    r#"<text class="mark" x="{start:.1}" y="{:.1}">{words}</text>"#,
                    y + 26.0
                );
            }
        }
    }
}

fn in_words(class: &str) -> &'static str {
    match class {
        "done" => "accepted",
        "refused" => "refused",
        _ => "without an answer",
    }
}

fn bands(faults: usize) -> f64 {
    f64::from(u8::try_from(faults.min(BANDS)).unwrap_or(u8::MAX))
}

#[allow(clippy::cast_precision_loss)]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// Text that may stand in an element or in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(ended_us: u64, outcome: Outcome) -> Record {
        Record::Operation(Operation {
            reference: "r".into(),
            attempt: 1,
            customer: "c".into(),
            idempotency_key: None,
            forged: None,
            started_us: 0,
            ended_us,
            lines: Vec::new(),
            amount_minor: 0,
            outcome,
        })
    }

    fn told(records: Vec<Record>) -> Timeline {
        let mut timeline = Timeline::default();
        for record in records {
            timeline.take(record);
        }
        timeline
    }

    #[test]
    fn a_drill_in_which_nothing_happened_is_not_drawn() {
        assert_eq!(told(Vec::new()).svg(), None);
    }

    #[test]
    fn answers_and_faults_are_drawn_where_they_happened() {
        let svg = told(vec![
            Record::FaultStarted {
                at_us: 500_000,
                fault: "a<b".into(),
                target: "x -> y".into(),
                parameters: serde_json::Value::Null,
            },
            Record::FaultHealed {
                at_us: 1_000_000,
                fault: "a<b".into(),
                error: None,
            },
            operation(
                250_000,
                Outcome::Refused {
                    reason: "429".into(),
                },
            ),
            operation(
                2_000_000,
                Outcome::Unknown {
                    reason: "no answer".into(),
                },
            ),
        ])
        .svg()
        .expect("something happened");
        assert!(
            svg.contains(r#"class="band" x="180.0" y="0.0" width="180.0""#),
            "{svg}"
        );
        assert!(svg.contains("a&lt;b"), "{svg}");
        assert!(!svg.contains("a<b"), "{svg}");
        assert!(svg.contains(r#"class="refused" x="90.5""#), "{svg}");
        assert!(svg.contains(r#"class="unknown" x="710.5""#), "{svg}");
        assert!(
            svg.contains("0 attempts accepted, 1 refused, 1 unknown"),
            "{svg}"
        );
    }

    #[test]
    fn a_fault_that_never_healed_reaches_to_the_end() {
        let svg = told(vec![
            Record::FaultStarted {
                at_us: 0,
                fault: "f".into(),
                target: "t".into(),
                parameters: serde_json::Value::Null,
            },
            operation(
                4_000_000,
                Outcome::Done {
                    order_id: "o".into(),
                },
            ),
        ])
        .svg()
        .expect("something happened");
        assert!(
            svg.contains(r#"class="band" x="0.0" y="0.0" width="720.0""#),
            "{svg}"
        );
    }
}
