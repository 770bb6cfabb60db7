//! The data folder: what only its owner may read.
//!
//! `chancery.db` (SQLite), `master.key` (wraps the keys in the database), `admin.token` (the local
//! administrator's credential), `log.key` (the log's public verifier key) and `server.json` (where the
//! running authority listens).

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chancery_model::entropy::Entropy;
use chancery_model::secret::Secret;
use chancery_wire::base64url;

/// A data folder that exists and is private.
pub(crate) struct DataFolder {
    path: PathBuf,
}

impl DataFolder {
    /// Opens the folder, making it when it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        fs::create_dir_all(path)
            .with_context(|| format!("the data folder `{}` cannot be made", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).with_context(|| {
            format!(
                "the data folder `{}` is not ours to protect",
                path.display()
            )
        })?;
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
        let partial = self.path.join(format!(".{name}.new"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)?;
        file.write_all(content.as_bytes())?;
        fs::rename(&partial, self.path.join(name))
            .with_context(|| format!("`{name}` cannot be written"))
    }

    /// Removes a published file.
    pub(crate) fn withdraw(&self, name: &str) {
        // Whoever reads a stale one is told that nothing answers there.
        let _gone = fs::remove_file(self.path.join(name));
    }
}

/// A new secret of a login.
pub(crate) fn new_login(entropy: &dyn Entropy) -> String {
    let mut random = Secret::new([0; 32]);
    entropy.fill(random.expose_mut());
    format!("chl_{}", base64url::encode(random.expose()))
}
