//! The roles that the program can run in, as the command line describes them. The roof runs them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Where an authority listens unless told otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:7420";

/// A role, with what it was told.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Role {
    /// Run everything in one process, with a login already made
    ///
    /// Serves the authority and its gateway on this machine, prints a console login, and stops on Ctrl-C.
    /// With `--json` it prints one line once ready: `{"ready":true,"url":"http://…","console":"http://…"}`.
    #[command(after_help = "Example:\n  chancery up --data ./data --listen 127.0.0.1:0 --json")]
    Up(UpArgs),
    /// Run the authority and its gateway for production
    #[command(
        after_help = "Example:\n  chancery serve --issuer https://id.example.com --database postgres://db/chancery"
    )]
    Serve(ServeArgs),
    /// Show what the program does, step by step, on a real agent and a real tool server
    #[command(after_help = "Example:\n  chancery demo")]
    Demo(DemoArgs),
    /// Serve the support desk of the demonstration: an MCP server
    #[command(after_help = "Example:\n  chancery desk --listen 127.0.0.1:7500")]
    Desk(DeskArgs),
    /// Find what is wrong with an installation, and say the fix
    #[command(after_help = "Example:\n  chancery doctor --data ./data")]
    Doctor(DoctorArgs),
}

/// Where an authority listens and keeps its things.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Place {
    /// The folder for the database, the keys and the local credential.
    #[arg(skip)]
    pub data: PathBuf,
    /// Listen here; port 0 picks a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = DEFAULT_LISTEN, env = "CHANCERY_LISTEN")]
    pub listen: SocketAddr,
    /// The public address as an origin (`https://id.example.com`), which tokens name as their issuer; the listening address when absent
    #[arg(long, value_name = "URL", env = "CHANCERY_ISSUER")]
    pub issuer: Option<String>,
    /// Speak TLS with this certificate and its chain, PEM; read again when it changes, and on SIGHUP
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        env = "CHANCERY_TLS_CERT"
    )]
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate, PEM
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        env = "CHANCERY_TLS_KEY"
    )]
    pub tls_key: Option<PathBuf>,
    /// The authorities whose certificates name clients (`tls_client_auth`), PEM
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        env = "CHANCERY_TLS_CLIENT_CA"
    )]
    pub tls_client_ca: Option<PathBuf>,
    /// Their revocation lists, PEM; with them, a certificate that no current list speaks of is refused
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_client_ca",
        env = "CHANCERY_TLS_CLIENT_CRL"
    )]
    pub tls_client_crl: Option<PathBuf>,
    /// A SQLite file or `postgres://…`; `chancery.db` in the data folder when absent
    #[arg(
        long,
        value_name = "URL",
        env = "CHANCERY_DATABASE",
        hide_env_values = true
    )]
    pub database: Option<String>,
}

/// `chancery up`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct UpArgs {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// TEST MODE, on loopback alone: this person signs in and says yes by itself, to whoever opens a link
    ///
    /// For running other people's test suites against the flows that ask a person. The person is added when nobody is
    /// called so, and their new MCP clients are put into force as the local administrator would.
    #[arg(long, value_name = "HANDLE")]
    pub test_login: Option<String>,
    /// Print one line of JSON once ready.
    #[arg(skip)]
    pub json: bool,
}

/// `chancery serve`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ServeArgs {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// The form of log lines
    #[arg(long, value_enum, default_value = "text", env = "CHANCERY_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// Which log lines: `error`, `warn`, `info`, `debug`, or `TARGET=LEVEL` separated by commas
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info",
        env = "CHANCERY_LOG"
    )]
    pub log: String,
    /// Print one line of JSON once ready.
    #[arg(skip)]
    pub json: bool,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `chancery demo`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DemoArgs {
    /// Keep what it made in this folder, which must not exist yet; a temporary one is removed
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Tell the story as JSON, one step a line.
    #[arg(skip)]
    pub json: bool,
}

/// `chancery desk`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DeskArgs {
    /// Serve Streamable HTTP here; on the standard streams when absent
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
}

/// `chancery doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DoctorArgs {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// Print the findings as JSON.
    #[arg(skip)]
    pub json: bool,
}
