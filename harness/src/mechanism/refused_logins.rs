//! PostgreSQL: whom the server has refused for a wrong password, as its own log has it.

use std::{
    io::SeekFrom,
    path::{Path, PathBuf},
};

use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt},
};

use super::MechanismError;

/// Most of the log that is read at once, in bytes.
const MOST_AT_ONCE: u64 = 1024 * 1024;

/// Counts the refusals of one login in the log of a server whose messages are in English (`lc_messages = 'C'`).
#[derive(Debug)]
pub struct RefusedLogins {
    log: PathBuf,
    /// What the server writes when it refuses this login.
    words: String,
    /// The log has been read so far; whole lines only.
    position: u64,
    count: u64,
}

impl RefusedLogins {
    /// Counts what the server writes from now on.
    ///
    /// # Errors
    /// There is no such log.
    pub async fn from_now_on(log: &Path, user: &str) -> Result<Self, MechanismError> {
        let found = tokio::fs::metadata(log).await;
        let found = found.map_err(|error| failed(log, &error))?;
        Ok(Self {
            log: log.to_owned(),
            words: format!("FATAL:  password authentication failed for user \"{user}\""),
            position: found.len(),
            count: 0,
        })
    }

    /// How many there were so far.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn count(&mut self) -> Result<u64, MechanismError> {
        let reading = self.read_on().await;
        reading.map_err(|error| failed(&self.log, &error))?;
        Ok(self.count)
    }

    async fn read_on(&mut self) -> std::io::Result<()> {
        let mut file = File::open(&self.log).await?;
        file.seek(SeekFrom::Start(self.position)).await?;
        loop {
            let mut read = Vec::new();
            let length = (&mut file)
                .take(MOST_AT_ONCE)
                .read_to_end(&mut read)
                .await?;
            // The rest of the last line is still to be written; a line that is longer than that names no login.
            let whole = match read.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => end + 1,
                None if length as u64 == MOST_AT_ONCE => length,
                None => return Ok(()),
            };
            let text = String::from_utf8_lossy(&read[..whole]);
            let named = text.lines().filter(|line| line.ends_with(&self.words));
            self.count += named.count() as u64;
            self.position += whole as u64;
            file.seek(SeekFrom::Start(self.position)).await?;
        }
    }
}

fn failed(log: &Path, error: &std::io::Error) -> MechanismError {
    MechanismError::failed(format!("reading {}", log.display()), error)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn only_refusals_of_the_login_count_and_only_those_that_come_later() {
        let mut log = tempfile::NamedTempFile::new().expect("a file");
        let line = |user: &str| {
            format!(
                "2026-11-28 12:00:00.000 UTC [7] {user} FATAL:  password authentication failed for user \"{user}\"\n"
            )
        };
        log.write_all(line("shop_d0001").as_bytes())
            .expect("written");
        let mut refused = RefusedLogins::from_now_on(log.path(), "shop_d0001")
            .await
            .expect("it is there");
        assert_eq!(refused.count().await, Ok(0));
        let others = "2026-11-28 12:00:00.000 UTC [7] shop_d0001 DETAIL:  Connection matched pg_hba.conf line 1\n";
        let text = [
            line("shop_d0001"),
            others.to_owned(),
            line("shop_d00011"),
            line("desk_d0001"),
            line("shop_d0001"),
        ]
        .concat();
        let (first, rest) = text.split_at(text.len() - 5);
        log.write_all(first.as_bytes()).expect("written");
        assert_eq!(refused.count().await, Ok(1), "the last line is not whole");
        log.write_all(rest.as_bytes()).expect("written");
        assert_eq!(refused.count().await, Ok(2));
        assert_eq!(refused.count().await, Ok(2));
        let none = RefusedLogins::from_now_on(Path::new("/nowhere/log"), "shop").await;
        assert!(none.is_err_and(|error| error.to_string().contains("/nowhere/log")));
    }
}
