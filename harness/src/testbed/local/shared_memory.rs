//! System V shared memory of PostgreSQL: the one thing of a killed server that lies outside its folder.
//!
//! A server keeps one small segment as a lock on its data folder, and removes it unless it is killed by SIGKILL. The
//! seventh line of `postmaster.pid` names it, and is still there then.

use std::{fs, path::Path};

use super::sweep::CleanReport;

/// Removes the segments that servers below `run` named and to which nobody is attached any more.
pub(super) fn remove_segments_of(run: &Path, report: &mut CleanReport) {
    for entry in fs::read_dir(run).into_iter().flatten().flatten() {
        let Ok(text) = fs::read_to_string(entry.path().join("postmaster.pid")) else {
            continue;
        };
        if let Some((key, id)) = named_segment(&text)
            && is_abandoned(key, id)
        {
            remove(id, report);
        }
    }
}

fn remove(id: i32, report: &mut CleanReport) {
    // SAFETY: IPC_RMID takes no buffer; the kernel checks the id and our right to remove it.
    let removed = unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
    if removed == 0 {
        report.shared_memory.push(id);
    } else {
        report.failures.push(format!(
            "shared memory {id}: {}",
            std::io::Error::last_os_error()
        ));
    }
}

fn named_segment(postmaster: &str) -> Option<(u32, i32)> {
    let mut words = postmaster.lines().nth(6)?.split_whitespace();
    Some((parse_key(words.next()?)?, words.next()?.parse().ok()?))
}

/// A key has 32 bits. The kernel prints it signed, PostgreSQL as an unsigned long that it was extended to.
fn parse_key(word: &str) -> Option<u32> {
    let wide = word.parse::<i64>().map(i64::cast_unsigned);
    let wide = wide.or_else(|_| word.parse::<u64>()).ok()?;
    u32::try_from(wide & u64::from(u32::MAX)).ok()
}

/// Both key and id must still fit (the file may be old), and nobody may be attached.
fn is_abandoned(key: u32, id: i32) -> bool {
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    table.lines().skip(1).any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |place: usize| words.get(place).and_then(|word| word.parse::<i64>().ok());
        let same_key = words.first().and_then(|word| parse_key(word)) == Some(key);
        same_key && number(1) == Some(i64::from(id)) && number(6) == Some(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segment_is_read_from_the_seventh_line() {
        let file = "4711\n/tmp/x\n1700000000\n5432\n\n127.0.0.1\n  16384123         7\nready   \n";
        assert_eq!(named_segment(file), Some((16_384_123, 7)));
        assert_eq!(named_segment("4711\n"), None);
        assert_eq!(parse_key("-2"), parse_key("18446744073709551614"));
    }

    #[test]
    fn a_segment_that_does_not_exist_is_not_abandoned() {
        assert!(!is_abandoned(u32::MAX, i32::MAX));
    }
}
