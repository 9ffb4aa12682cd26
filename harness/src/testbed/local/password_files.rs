//! The files in which the components of one drill read the passwords of their databases.

use std::{
    fs::Permissions,
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{postgres::ComponentDatabase, private_file};
use crate::testbed::TestbedError;

/// A folder with a file for every component that has a database. Dropping it removes them.
#[derive(Debug)]
pub struct PasswordFiles {
    folder: TempDir,
}

impl PasswordFiles {
    /// Makes a folder of the drill's own in `run`; nobody is told anything yet.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make(run: &Path, drill: &str) -> Result<Self, TestbedError> {
        let folder = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o700))
            .prefix(&format!("passwords-{drill}-"))
            .tempdir_in(run);
        let folder = folder.map_err(|error| TestbedError::Failed {
            doing: format!("making a folder for passwords in {}", run.display()),
            reason: error.to_string(),
        })?;
        Ok(Self { folder })
    }

    /// The file that the component of a database reads.
    #[must_use]
    pub fn of(&self, database: &ComponentDatabase) -> PathBuf {
        let name = format!("{}.database-password", database.component);
        self.folder.path().join(name)
    }

    /// Puts the password of a database into its component's file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn tell(&self, database: &ComponentDatabase) -> Result<(), TestbedError> {
        let replaced = private_file::replace(&self.of(database), &database.password);
        replaced.map_err(|error| TestbedError::Failed {
            doing: format!("telling {} its password", database.component),
            reason: error.to_string(),
        })
    }

    /// Removes the files now; dropping it does so as well, and says nothing where it fails.
    ///
    /// # Errors
    /// The folder cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(self.folder.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(component: &str, password: &str) -> ComponentDatabase {
        ComponentDatabase {
            component: component.to_owned(),
            name: format!("{component}_d0001"),
            user: format!("{component}_d0001"),
            password: password.to_owned(),
        }
    }

    #[test]
    fn a_password_lies_in_a_private_file_and_goes_with_the_drill() {
        let run = tempfile::tempdir().expect("a folder");
        let files = PasswordFiles::make(run.path(), "d0001").expect("a folder");
        let mode = |path: &Path| {
            let found = std::fs::metadata(path).expect("it is there");
            found.permissions().mode() & 0o777
        };
        for (component, password) in [("shop", "one"), ("desk", "other"), ("shop", "another")] {
            files.tell(&database(component, password)).expect("written");
        }
        for (component, password) in [("shop", "another"), ("desk", "other")] {
            let file = files.of(&database(component, ""));
            assert_eq!(mode(&file), 0o600);
            let held = std::fs::read_to_string(&file).expect("it is there");
            assert_eq!(held, password);
        }
        let folder = files.folder.path().to_owned();
        assert_eq!(mode(&folder), 0o700);
        let left = std::fs::read_dir(&folder).expect("it is there").count();
        assert_eq!(left, 2, "one file a component");
        drop(files);
        assert!(!folder.exists());
    }
}
