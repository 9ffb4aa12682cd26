//! The consumer protocol inside JoinGroup and SyncGroup, as far as the broker's owner wants to know it.
//!
//! Kafka's brokers treat these bytes as opaque; here they are read for observation only, and unreadable ones count as empty.

/// The topics of a member's subscription.
pub(crate) fn subscribed_topics(mut bytes: &[u8]) -> Vec<String> {
    read_topics(&mut bytes).unwrap_or_default()
}

/// The partitions of a member's assignment.
pub(crate) fn assigned_partitions(mut bytes: &[u8]) -> Vec<(String, i32)> {
    read_assignment(&mut bytes).unwrap_or_default()
}

fn read_topics(bytes: &mut &[u8]) -> Option<Vec<String>> {
    let _version = i16::from_be_bytes(take(bytes)?);
    let mut topics = Vec::new();
    for _ in 0..i32::from_be_bytes(take(bytes)?) {
        topics.push(text(bytes)?);
    }
    Some(topics)
}

fn read_assignment(bytes: &mut &[u8]) -> Option<Vec<(String, i32)>> {
    let _version = i16::from_be_bytes(take(bytes)?);
    let mut partitions = Vec::new();
    for _ in 0..i32::from_be_bytes(take(bytes)?) {
        let topic = text(bytes)?;
        for _ in 0..i32::from_be_bytes(take(bytes)?) {
            partitions.push((topic.clone(), i32::from_be_bytes(take(bytes)?)));
        }
    }
    Some(partitions)
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(i16::from_be_bytes(take(bytes)?)).ok()?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read() {
        let bytes = [
            &[0, 1, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2][..],
            &[0, 0, 0, 0, 0, 0, 0, 5],
            &[0, 0, 0, 0],
        ]
        .concat();
        assert_eq!(
            assigned_partitions(&bytes),
            [("t".to_owned(), 0), ("t".to_owned(), 5)]
        );
    }

    #[test]
    fn unreadable_bytes_count_as_empty() {
        assert!(subscribed_topics(&[0, 0, 0x7f, 0xff, 0xff, 0xff]).is_empty());
        assert!(assigned_partitions(&[]).is_empty());
    }
}
