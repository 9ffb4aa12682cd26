//! The name somebody may have meant.

/// How many known names a remedy lists before it stops.
const LISTED_NAMES: usize = 12;

/// The known name that is most like `name`, if any is like it at all.
///
/// Alike are names at a small edit distance, and names of which `name` is a whole end (`idempotency-key` for
/// `payment.idempotency-key`).
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let longest_distance = ((wanted.chars().count() + 1) / 3).clamp(1, 6);
    known
        .into_iter()
        .filter_map(|candidate| {
            let lowered = candidate.to_lowercase();
            let distance = if lowered == wanted {
                0
            } else if wanted.len() >= 3
                && (lowered.ends_with(&wanted) || lowered.starts_with(&wanted))
            {
                1
            } else {
                strsim::damerau_levenshtein(&wanted, &lowered)
            };
            (distance <= longest_distance).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// A remedy for an unknown name: the nearest known one, else what is known.
pub fn suggestion<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(meant) = nearest(name, known.clone()) {
        return Some(format!("did you mean `{meant}`?"));
    }
    let mut names: Vec<&str> = known.into_iter().collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return None;
    }
    let left_out = names.len().saturating_sub(LISTED_NAMES);
    names.truncate(LISTED_NAMES);
    let listed = names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    Some(match left_out {
        0 => format!("known: {listed}"),
        more => format!("known: {listed} and {more} more"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        let known = ["order-service", "payment-service", "kafka"];
        assert_eq!(nearest("payment-servcie", known), Some("payment-service"));
        assert_eq!(nearest("Kafka", known), Some("kafka"));
        assert_eq!(nearest("weather", known), None);
    }

    #[test]
    fn the_end_of_a_dotted_name_finds_it() {
        let known = ["order.outbox", "payment.idempotency-key"];
        assert_eq!(
            nearest("idempotency-key", known),
            Some("payment.idempotency-key")
        );
    }

    #[test]
    fn a_name_like_nothing_gets_the_list() {
        let remedy = suggestion("weather", ["b", "a"]);
        assert_eq!(remedy.as_deref(), Some("known: `a`, `b`"));
        assert_eq!(suggestion("weather", []), None);
    }
}
