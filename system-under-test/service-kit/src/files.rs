//! Files that change while a process runs: certificates, bundles of them, passwords.

use std::path::Path;
use std::time::Duration;

use crate::shutdown::Shutdown;

/// Largest file that is followed, in bytes; what is larger is no secret and no certificate.
const SIZE_LIMIT: u64 = 1024 * 1024;

/// Looks at a file again and again until shutdown and says what it holds whenever that differs from what it held before.
/// A file that cannot be read for a moment, as while it is replaced, is as if it had not changed.
pub async fn follow(
    path: &Path,
    known: Vec<u8>,
    every: Duration,
    shutdown: &Shutdown,
    mut changed: impl FnMut(&[u8]),
) {
    let mut known = known;
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = shutdown.begun() => return,
        }
        match read(path).await {
            Ok(found) if found != known => {
                changed(&found);
                known = found;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a file cannot be read");
            }
        }
    }
}

/// What a file holds, if it is small enough.
pub(crate) async fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    check_size(tokio::fs::metadata(path).await?.len())?;
    tokio::fs::read(path).await
}

/// The same for settings, which are read before anything runs that would be kept waiting.
pub(crate) fn read_for_settings(path: &Path) -> std::io::Result<Vec<u8>> {
    check_size(std::fs::metadata(path)?.len())?;
    std::fs::read(path)
}

fn check_size(size: u64) -> std::io::Result<()> {
    if size <= SIZE_LIMIT {
        return Ok(());
    }
    let message = format!("{size} bytes, at most {SIZE_LIMIT} are read");
    Err(std::io::Error::other(message))
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[tokio::test]
    async fn every_change_is_told_once_and_a_missing_file_is_none() {
        let path = std::env::temp_dir().join(format!("service-kit-follow-{}", std::process::id()));
        std::fs::write(&path, b"one").expect("written");
        let (tell, mut told) = unbounded_channel();
        let shutdown = Shutdown::default();
        let following = {
            let (path, shutdown) = (path.clone(), shutdown.clone());
            tokio::spawn(async move {
                let every = Duration::from_millis(5);
                let tell = |found: &[u8]| drop(tell.send(found.to_vec()));
                follow(&path, b"one".to_vec(), every, &shutdown, tell).await;
            })
        };
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(path.with_extension("new"), b"two").expect("written");
        std::fs::rename(path.with_extension("new"), &path).expect("replaced");
        assert_eq!(told.recv().await.as_deref(), Some(&b"two"[..]));
        shutdown.begin();
        following.await.expect("it ends");
        assert_eq!(told.recv().await, None, "nothing else changed");
        std::fs::remove_file(&path).expect("removed");
    }
}
