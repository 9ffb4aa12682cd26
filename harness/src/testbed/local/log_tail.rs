//! The last lines of a log, for messages about a process that failed.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

const MOST_BYTES: u64 = 4096;
const MOST_LINES: usize = 12;

/// The last lines of a file, indented; says so when there are none.
pub(super) fn read(path: &Path) -> String {
    match last_bytes(path) {
        Ok(bytes) => indent(&String::from_utf8_lossy(&bytes)),
        Err(error) => format!("  ({}: {error})", path.display()),
    }
}

fn last_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MOST_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn indent(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    if lines.is_empty() {
        return "  (it wrote nothing)".to_owned();
    }
    let first = lines.len().saturating_sub(MOST_LINES);
    lines[first..]
        .iter()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept() {
        let text: String = (0..100).map(|line| format!("line {line}\n")).collect();
        let kept = indent(&text);
        assert!(kept.starts_with("  line 88\n"));
        assert!(kept.ends_with("  line 99"));
        assert_eq!(indent("\n\n"), "  (it wrote nothing)");
    }
}
