//! A private PostgreSQL: its own folder, its own port on loopback, gone when the handle is dropped.
//!
//! It trusts whoever reaches it, and flushes nothing to the disk; it holds test data only. As root
//! (which PostgreSQL refuses to run as) its programs run under the account `postgres` or `nobody`.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::command;
use crate::system::{self, Setup};

/// The environment variable that tells tests where the database is.
pub(crate) const VARIABLE: &str = "CHANCERY_TEST_POSTGRES";

/// The same for a database that a test may crash.
pub(crate) const ALONE: &str = "CHANCERY_TEST_POSTGRES_ALONE";

const START_LIMIT: Duration = Duration::from_secs(60);

/// What runs with a database.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The command, with its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs the command with [`VARIABLE`] set and answers with its exit code.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (program, rest) = args
        .command
        .split_first()
        .context("there is no command to run")?;
    let setup = Setup::new(true)?;
    let cluster = Cluster::start(&setup)?;
    let status = Command::new(program)
        .args(rest)
        .env(VARIABLE, cluster.url())
        .status()
        .with_context(|| format!("starting `{program}`"))?;
    Ok(command::exit_code(status))
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Cluster {
    programs: Programs,
    folder: TempDir,
    server: Child,
    port: u16,
}

impl Cluster {
    /// Makes a new cluster and waits until it answers.
    pub(crate) fn start(setup: &Setup) -> Result<Self> {
        let programs = Programs::obtain(setup)?;
        let folder = tempfile::tempdir().context("making a folder for PostgreSQL")?;
        if let Some((uid, gid)) = programs.account {
            chown(folder.path(), Some(uid), Some(gid))
                .context("giving the folder to the account of PostgreSQL")?;
        }
        let mut initdb = programs.command("initdb", folder.path());
        initdb.arg("--pgdata").arg(folder.path().join("data"));
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
        ]);
        command::run(initdb.arg("--no-sync").stdout(Stdio::null()))?;

        let port = free_port()?;
        let log =
            File::create(folder.path().join("log")).context("making the log of PostgreSQL")?;
        let mut server = programs.command("postgres", folder.path());
        server
            .arg("-D")
            .arg(folder.path().join("data"))
            .arg("-k")
            .arg(folder.path());
        server.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        for setting in [
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "log_connections=on",
            "max_connections=200",
        ] {
            server.args(["-c", setting]);
        }
        let server = server.stderr(log).spawn().context("starting PostgreSQL")?;
        let mut cluster = Self {
            programs,
            folder,
            server,
            port,
        };
        cluster.wait_until_ready()?;
        Ok(cluster)
    }

    /// Where tests find it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// How many connections were let in so far.
    pub(crate) fn connections(&self) -> Result<usize> {
        Ok(self.log()?.matches("connection authorized").count())
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < START_LIMIT {
            if let Some(status) = self.server.try_wait().context("waiting for PostgreSQL")? {
                bail!("PostgreSQL ended with {status}:\n{}", self.log()?);
            }
            let mut ready = self.programs.command("pg_isready", self.folder.path());
            ready.args(["--quiet", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            if ready.status().is_ok_and(|status| status.success()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!(
            "PostgreSQL did not answer within {} seconds",
            START_LIMIT.as_secs()
        )
    }

    fn log(&self) -> Result<String> {
        std::fs::read_to_string(self.folder.path().join("log")).context("reading PostgreSQL's log")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // pg_ctl ends the server with all its processes; killing only the first would leave the rest
        // to notice by themselves. Nothing here is worth keeping, so a failure changes nothing.
        let mut stop = self.programs.command("pg_ctl", self.folder.path());
        stop.args(["stop", "--silent", "--mode=immediate", "--pgdata"]);
        let _ = stop.arg(self.folder.path().join("data")).status();
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// PostgreSQL's programs, and the account that they run under when that is not ours.
#[derive(Debug)]
struct Programs {
    folder: PathBuf,
    account: Option<(u32, u32)>,
}

impl Programs {
    fn obtain(setup: &Setup) -> Result<Self> {
        let folder = match find() {
            Some(folder) => folder,
            None => {
                system::install_packages(setup, &["postgresql"])?;
                find().context("the package `postgresql` brought no `initdb`")?
            }
        };
        let account = if system::is_root() {
            let account = system::account("postgres").or_else(|| system::account("nobody"));
            Some(
                account
                    .context("root needs an account `postgres` or `nobody` to run PostgreSQL")?,
            )
        } else {
            None
        };
        Ok(Self { folder, account })
    }

    /// One of the programs, started in `folder`, which its account may enter.
    fn command(&self, program: &str, folder: &Path) -> Command {
        let mut command = Command::new(self.folder.join(program));
        command.current_dir(folder).env("LC_ALL", "C");
        if let Some((uid, gid)) = self.account {
            command.uid(uid).gid(gid);
        }
        command
    }
}

/// The folder of the newest server: Debian keeps one for each version, others put it on `PATH`.
fn find() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    versions
        .map(|version| version.path().join("bin"))
        .filter(|folder| folder.join("initdb").is_file())
        .max_by_key(|folder| version_of(folder))
        .or_else(|| system::find_program("initdb")?.parent().map(Path::to_owned))
}

fn version_of(folder: &Path) -> Option<u32> {
    folder.parent()?.file_name()?.to_str()?.parse().ok()
}

/// A port that nobody listens on at this moment.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("looking for a free port")?;
    Ok(listener
        .local_addr()
        .context("reading the free port")?
        .port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_the_number_of_its_folder() {
        assert_eq!(
            version_of(Path::new("/usr/lib/postgresql/17/bin")),
            Some(17)
        );
        assert_eq!(version_of(Path::new("/usr/lib/postgresql/bin")), None);
    }
}
