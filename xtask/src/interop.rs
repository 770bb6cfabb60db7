//! The folder that the third-party suites run in: a copy of `tests-interop/` below `target/`, beside
//! what is installed for it.
//!
//! A package is looked for from the place of the file that imports it, so the sources are copied to
//! the packages; the folder in the repository stays free of them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::Count;
use crate::system::Setup;

/// Copies the sources anew and answers with the folder.
pub(crate) fn folder(setup: &Setup) -> Result<PathBuf> {
    let folder = setup.target().join("interop");
    copy(&setup.root.join("tests-interop"), &folder)
        .with_context(|| format!("copying tests-interop to `{}`", folder.display()))?;
    Ok(folder)
}

/// Whether what `lock` names was installed completely before.
pub(crate) fn is_installed(folder: &Path, lock: &Path) -> Result<bool> {
    let wanted = std::fs::read(lock).with_context(|| format!("reading `{}`", lock.display()))?;
    Ok(std::fs::read(mark(folder, lock)).is_ok_and(|installed| installed == wanted))
}

/// Notes that what `lock` names is installed.
pub(crate) fn remember_installed(folder: &Path, lock: &Path) -> Result<()> {
    std::fs::copy(lock, mark(folder, lock)).context("noting what is installed")?;
    Ok(())
}

/// Counts a closing line of TAP, such as `# pass 12`; both languages report so.
pub(crate) fn count(total: &mut Count, line: &str) {
    let number = |prefix| {
        line.strip_prefix(prefix)
            .and_then(|rest: &str| rest.parse::<u64>().ok())
    };
    total.passed += number("# pass ").unwrap_or(0);
    total.skipped += number("# skipped ").unwrap_or(0);
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            // A file that is gone from the source must not be run from here.
            if target.is_dir() {
                std::fs::remove_dir_all(&target)?;
            }
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

fn mark(folder: &Path, lock: &Path) -> PathBuf {
    let name = lock.file_name().unwrap_or_default().to_string_lossy();
    folder.join(format!(".installed-{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_lock_file_is_not_installed() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("package-lock.json");
        std::fs::write(&lock, "1").unwrap();
        assert!(!is_installed(folder.path(), &lock).unwrap());
        remember_installed(folder.path(), &lock).unwrap();
        assert!(is_installed(folder.path(), &lock).unwrap());
        std::fs::write(&lock, "2").unwrap();
        assert!(!is_installed(folder.path(), &lock).unwrap());
    }

    #[test]
    fn closing_lines_of_tap_are_counted() {
        let mut total = Count::default();
        for line in [
            "# tests 5",
            "ok 1 - pass 3",
            "# pass 4",
            "# fail 0",
            "# skipped 1",
        ] {
            count(&mut total, line);
        }
        assert_eq!(
            total,
            Count {
                passed: 4,
                skipped: 1
            }
        );
    }
}
