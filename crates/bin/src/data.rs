//! The data folder: what only its owner may read.
//!
//! `chancery.db` (SQLite) with `chancery.db-entries` (the log's entries) and `chancery.db.lock`, `master.key` (wraps the keys in the database), `admin.token` (the
//! local administrator's credential), `log.key` (the log's public verifier key) and `server.json` (where the running
//! authority listens, and the key by which it proves itself).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chancery_model::entropy::Entropy;
use chancery_model::secret::Secret;
use chancery_wire::base64url;

/// A data folder that exists and is private.
pub(crate) struct DataFolder {
    path: PathBuf,
}

/// What tells a data folder from others.
const MARK: &str = "master.key";

impl DataFolder {
    /// Opens the folder, making it when it is not there.
    ///
    /// Others are shut out of a folder that is made here, is empty, or is a data folder already. Any other is left as it
    /// is, and refused when others can read it: it may be somebody's home, or shared on purpose.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let is_open = match fs::metadata(path) {
            Ok(metadata) if !metadata.is_dir() => bail!("`{shown}` is not a folder"),
            Ok(metadata) => metadata.permissions().mode() & 0o077 != 0,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(path).with_context(|| format!("the data folder `{shown}` cannot be made"))?;
                false
            }
            Err(error) => {
                return Err(error).context(format!("the data folder `{shown}` cannot be found"));
            }
        };
        if is_open && !path.join(MARK).exists() && !is_empty(path) {
            bail!(
                "`{shown}` holds something else, and others can read it; run `chmod 700 {shown}` if it is to be \
                 the data folder, or name one that is not there"
            );
        }
        if is_open {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))
                .with_context(|| format!("the data folder `{shown}` is not ours to protect"))?;
        }
        let path = path
            .canonicalize()
            .context("the data folder cannot be found")?;
        Ok(Self { path })
    }

    /// Where the folder is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The key that wraps the keys at rest; made the first time.
    pub(crate) fn master_key(&self, entropy: &dyn Entropy) -> Result<Secret<[u8; 32]>> {
        let text = self.secret("master.key", || {
            let mut key = Secret::new([0; 32]);
            entropy.fill(key.expose_mut());
            base64url::encode(key.expose())
        })?;
        let bytes =
            Secret::new(base64url::decode(text.expose()).context("`master.key` is damaged")?);
        let key = bytes.expose().as_slice().try_into();
        Ok(Secret::new(key.ok().context(
            "`master.key` is damaged: it must hold 32 bytes",
        )?))
    }

    /// The local administrator's credential; made the first time.
    pub(crate) fn admin_token(&self, entropy: &dyn Entropy) -> Result<Secret<String>> {
        self.secret("admin.token", || new_login(entropy))
    }

    /// Reads a secret that only its owner can read, or makes it.
    fn secret(&self, name: &str, make: impl FnOnce() -> String) -> Result<Secret<String>> {
        let path = self.path.join(name);
        let new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        if let Ok(mut file) = new {
            let secret = Secret::new(make());
            // A half-written key would lose everything that it wraps, so it is flushed before it is used.
            file.write_all(secret.expose().as_bytes())?;
            file.sync_all()
                .with_context(|| format!("`{name}` cannot be written"))?;
            File::open(&self.path)?.sync_all()?;
            return Ok(secret);
        }
        let mut file =
            File::open(&path).with_context(|| format!("`{}` cannot be read", path.display()))?;
        let mode = file.metadata()?.permissions().mode();
        if mode & 0o077 != 0 {
            bail!(
                "`{0}` can be read by others; run `chmod 600 {0}`",
                path.display()
            );
        }
        let mut text = String::new();
        file.read_to_string(&mut text)
            .with_context(|| format!("`{name}` cannot be read"))?;
        let secret = Secret::new(text.trim().to_owned());
        if secret.expose().is_empty() {
            bail!(
                "`{}` is empty; it was cut off when it was made, so remove it",
                path.display()
            );
        }
        Ok(secret)
    }

    /// Makes a database file that only its owner can read; one that exists keeps its content.
    pub(crate) fn protect(&self, file: &Path) -> Result<()> {
        let opened = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(file);
        opened.with_context(|| format!("`{}` cannot be written", file.display()))?;
        Ok(())
    }

    /// Writes a file that tools on this machine read, whole or not at all.
    pub(crate) fn publish(&self, name: &str, content: &str) -> Result<()> {
        let write = || -> io::Result<()> {
            // Under a name of its own and readable by its owner alone, until all of it is on the disk.
            let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
            file.write_all(content.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(self.path.join(name))?;
            File::open(&self.path)?.sync_all()
        };
        write().with_context(|| format!("`{name}` cannot be written"))
    }

    /// The text of a file that was published, without spaces around it; `None` when there is none.
    pub(crate) fn published(&self, name: &str) -> Result<Option<String>> {
        let path = self.path.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(error).with_context(|| format!("`{}` cannot be read", path.display()))
            }
        }
    }

    /// Removes a published file.
    pub(crate) fn withdraw(&self, name: &str) {
        // Whoever reads a stale one is told that nothing answers there.
        let _gone = fs::remove_file(self.path.join(name));
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut files| files.next().is_none())
}

fn make(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // From its first moment on, it is nobody else's to look into.
    DirBuilder::new().mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

/// Evidence that this process is the only one that holds the lock of a database's file, until it ends.
pub(crate) struct Lock {
    /// Names the lock: no other file has this name while this one is open, even when somebody removed it.
    pub(crate) name: String,
}

/// Takes the lock beside a database file that exists; `None` while another process has it, and where files cannot be
/// locked.
///
/// It lies beside the file itself, whichever folder names it, so that there is one for each database.
pub(crate) fn lock(database: &Path) -> Option<Lock> {
    let mut path = database.canonicalize().ok()?.into_os_string();
    path.push(".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    let file = file.ok()?;
    file.try_lock().ok()?;
    let metadata = file.metadata().ok()?;
    let name = format!("{:x}-{:x}", metadata.dev(), metadata.ino());
    // Never closed by us: work in the background may outlast whoever holds the evidence, and the kernel lets go of
    // the lock when all of the process has ended, however it ends.
    let _for_ever: &'static mut File = Box::leak(Box::new(file));
    Some(Lock { name })
}

/// A new secret of a login.
pub(crate) fn new_login(entropy: &dyn Entropy) -> String {
    let mut random = Secret::new([0; 32]);
    entropy.fill(random.expose_mut());
    format!("chl_{}", base64url::encode(random.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        let metadata = fs::metadata(path).expect("it is there");
        metadata.permissions().mode() & 0o777
    }

    fn folder_of_mode(parent: &Path, name: &str, mode: u32) -> PathBuf {
        let path = parent.join(name);
        fs::create_dir(&path).expect("made");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        path
    }

    #[test]
    fn a_folder_that_is_made_is_closed_to_others() {
        let outside = tempfile::tempdir().expect("a folder");
        let path = outside.path().join("deep/data");
        DataFolder::open(&path).expect("made");
        assert_eq!(mode(&path), 0o700);
        DataFolder::open(&path).expect("opened again");
    }

    #[test]
    fn a_folder_of_somebody_else_is_left_as_it_is_and_refused_when_others_can_read_it() {
        let outside = tempfile::tempdir().expect("a folder");
        for open in [0o755, 0o750, 0o711, 0o770] {
            let path = folder_of_mode(outside.path(), &format!("{open:o}"), open);
            fs::write(path.join("notes.txt"), "somebody's").expect("written");
            let refused = DataFolder::open(&path).map(|_| ()).expect_err("shared");
            let expected = format!("`chmod 700 {}`", path.display());
            assert!(refused.to_string().contains(&expected), "{refused}");
            assert_eq!(mode(&path), open, "nothing was changed");
        }
        let private = folder_of_mode(outside.path(), "private", 0o700);
        fs::write(private.join("notes.txt"), "ours").expect("written");
        DataFolder::open(&private).expect("private already");
        // One that was made for it beforehand is taken and closed.
        let empty = folder_of_mode(outside.path(), "empty", 0o755);
        DataFolder::open(&empty).expect("empty");
        assert_eq!(mode(&empty), 0o700);
    }

    #[test]
    fn a_data_folder_that_was_opened_to_others_is_closed_again() {
        let outside = tempfile::tempdir().expect("a folder");
        let path = folder_of_mode(outside.path(), "data", 0o755);
        fs::write(path.join(MARK), "x").expect("written");
        DataFolder::open(&path).expect("ours");
        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn one_holder_at_a_time_has_the_lock_of_a_database_by_whatever_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("chancery.db");
        assert!(lock(&file).is_none(), "there is no database yet");
        fs::write(&file, "").expect("written");
        let other_name = folder.path().join("other.db");
        std::os::unix::fs::symlink(&file, &other_name).expect("linked");
        let first = lock(&file).expect("free");
        assert!(lock(&file).is_none());
        assert!(lock(&other_name).is_none());
        fs::remove_file(folder.path().join("chancery.db.lock")).expect("removed");
        let second = lock(&file).expect("a new file is free");
        assert_ne!(first.name, second.name, "two holders have two names");
        let another = folder.path().join("another.db");
        fs::write(&another, "").expect("written");
        assert!(lock(&another).is_some(), "another database has its own");
    }
}
