//! Running the authority with its gateway in one process: `up` for a person, `serve` for production.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use axum::Router;
use chancery_authority::config::{ACCESS_TOKEN_LIFETIME, Config, KEY_OVERLAP};
use chancery_authority::enforcement::record::JournalRecorder;
use chancery_authority::found::{self, World};
use chancery_authority::router::router;
use chancery_authority::state::Authority;
use chancery_cli::roles::{LogFormat, Place, ServeArgs, UpArgs};
use chancery_client::presence::PresenceKey;
use chancery_gateway::gateway::{Config as GatewayConfig, Gateway};
use chancery_gateway::upstream::Reach;
use chancery_model::entropy::Entropy;
use chancery_model::id::RequestId;
use chancery_model::time::{Clock, Timestamp};
use chancery_store::connect::{DatabaseUrl, Store};
use chancery_wire::{hash, origin};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::data::{self, DataFolder, Lock, new_login};
use crate::listen::Listener;
use crate::world::{OperatingSystem, SystemClock};
use crate::{listen, presence, test_login, tls};

/// Calls that the gateway runs at a time.
const IN_FLIGHT: usize = 1_024;

/// An authority that listens and is ready.
pub(crate) struct Running {
    /// Where it answers.
    pub(crate) url: String,
    /// Its state.
    pub(crate) authority: Arc<Authority>,
    /// Its data folder.
    pub(crate) folder: DataFolder,
    /// The secret of a console login.
    pub(crate) console_login: String,
    listeners: Vec<Listener>,
    router: Router,
}

/// Opens everything and binds the socket, but does not serve yet.
pub(crate) async fn start(place: &Place) -> Result<Running> {
    let files = tls::Files::of(place);
    let is_public = !place.listen.ip().is_loopback();
    if is_public && files.is_none() {
        bail!(
            "listening on `{}` needs TLS: give a certificate with `--tls-cert` and `--tls-key`; or listen on loopback, let \
             a TLS proxy on this machine forward to it, and give its address as `--issuer https://…`",
            place.listen
        );
    }
    let issuer = place.issuer.as_ref().map(|issuer| {
        origin::parse_issuer(issuer).with_context(|| format!("the issuer `{issuer}` cannot be one"))
    });
    let is_local = (issuer.transpose()?).is_none_or(|issuer| origin::is_loopback(&issuer));
    // What is looser on loopback alone must not be for others to reach.
    if is_public && is_local {
        bail!(
            "`{}` is not how others reach this authority; give its public address as `--issuer https://…`",
            place.listen
        );
    }
    keep_memory_private()?;
    let entropy: Arc<dyn Entropy> = Arc::new(OperatingSystem);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let secured = files.as_ref().map(|files| files.load(clock.now()));
    let secured = secured.transpose()?;
    let folder = DataFolder::open(&place.data)?;
    let known_log = folder.published(LOG_KEY)?;
    require_whole(place, &folder, known_log.is_some())?;
    let master = folder.master_key(&*entropy)?;
    let admin = folder.admin_token(&*entropy)?;
    let listeners = match is_local {
        // People open the pages at `localhost`, which browsers look for at both of its addresses.
        true => bind_localhost(place.listen).await?,
        false => vec![bind(place.listen).await?],
    };
    let address = first(&listeners)?.local_addr()?;
    let Doors {
        listeners,
        local,
        renewed,
    } = Doors::open(listeners, secured.as_ref()).await?;
    let scheme = if secured.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    let issuer = place.issuer.clone().unwrap_or_else(|| url.clone());
    let url_of_database = database(place, folder.path())?;
    let lock = match &url_of_database {
        DatabaseUrl::Sqlite(file) => {
            folder.protect(file)?;
            data::lock(file)
        }
        DatabaseUrl::Postgres(_) => None,
    };
    let store = Store::open(&url_of_database)
        .await
        .context("the database cannot be opened")?;
    let console_login = new_login(&*entropy);
    let key = PresenceKey::generate(&*entropy);
    let config = Config {
        hosts: hosts(&issuer, [address, local]),
        issuer,
        local_administrator: hash::sha256(admin.expose().as_bytes()),
        console_login: Some(hash::sha256(console_login.as_bytes())),
        access_token_lifetime: ACCESS_TOKEN_LIFETIME,
        key_overlap: KEY_OVERLAP,
        node: node(lock.as_ref(), clock.now(), &*entropy),
        has_tls: secured.is_some(),
        log_key: known_log.clone(),
    };
    let reach = Reach::new(environment());
    let world = World {
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
        master,
        reach: reach.clone(),
    };
    let authority = found::open(store, config, world).await?;
    let has_tls = secured.is_some();
    if let Some(secured) = secured {
        authority.trust_clients_of(secured.trust);
    }
    if let (Some(files), Some(renewed)) = (files, renewed) {
        tokio::spawn(tls::keep(files, renewed, Arc::clone(&authority)));
    }
    let gateway = Gateway::new(
        GatewayConfig {
            reach,
            has_tls,
            in_flight: IN_FLIGHT,
        },
        Arc::clone(&authority.current),
        Arc::new(JournalRecorder(Arc::clone(&authority))),
        clock,
        entropy,
    );
    let whereabouts = serde_json::json!({
        "url": format!("http://{local}"),
        "listen": address,
        "pid": std::process::id(),
        "key": key.to_text().expose(),
    });
    let router = router(Arc::clone(&authority))
        .merge(Arc::new(gateway).router())
        .merge(presence::router(key, local));
    let log_key = authority.keys.load().log.verifier().vkey();
    if known_log.as_ref() != Some(&log_key) {
        folder.publish(LOG_KEY, &format!("{log_key}\n"))?;
    }
    folder.publish("server.json", &format!("{whereabouts}\n"))?;
    Ok(Running {
        url,
        authority,
        folder,
        console_login,
        listeners,
        router,
    })
}

impl Running {
    /// Lets `person` answer by itself what a person is asked; see [`test_login`].
    async fn answer_as(&mut self, person: &str) -> Result<()> {
        test_login::require_loopback(&self.authority)?;
        let administrator = self.folder.admin_token(&OperatingSystem)?;
        let (_, host) = self.url.split_once("://").unwrap_or(("", &self.url));
        let router = std::mem::take(&mut self.router);
        self.router = test_login::answering(router, host, person, administrator.expose()).await?;
        eprintln!(
            "TEST MODE: `{person}` signs in and says yes by itself, to whoever opens a link of {}. Not for anything real.",
            self.url
        );
        Ok(())
    }

    /// Serves until `stop` resolves, then takes down what was published.
    pub(crate) async fn serve(self, stop: impl Future<Output = ()>) {
        listen::serve(self.listeners, self.router, stop).await;
        self.folder.withdraw("server.json");
    }
}

/// Names this process among those that share its database.
///
/// The name decides who may seal the record until a lease ends. Whoever holds the lock of the database's file is alone
/// in having the name of that lock, and the one that held it before has ended: so a process that starts again goes on
/// sealing at once. Every other process has a name that nobody had.
fn node(lock: Option<&Lock>, now: Timestamp, entropy: &dyn Entropy) -> String {
    match lock {
        Some(lock) => format!("first-{}", lock.name),
        None => RequestId::generate(now, entropy).to_string(),
    }
}

/// Our memory holds keys: it is not written to disk when we crash and, on Linux, not looked at by other programs of our
/// user.
fn keep_memory_private() -> Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).context("core dumps cannot be forbidden")?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context("the memory cannot be closed to other programs")?;
    Ok(())
}

/// The file that names the log of the data folder's authority.
const LOG_KEY: &str = "log.key";

/// A database without the key that its own keys are wrapped by is not to be given a new one, and a data folder
/// without its database is not to be given an empty one.
fn require_whole(place: &Place, folder: &DataFolder, has_log: bool) -> Result<()> {
    let DatabaseUrl::Sqlite(file) = database(place, folder.path())? else {
        return Ok(());
    };
    let key = folder.path().join("master.key");
    if file.exists() && !key.exists() {
        bail!(
            "`{}` is missing, and `{}` cannot be opened without it; restore it from the backup",
            key.display(),
            file.display()
        );
    }
    let is_empty = file.metadata().map_or(true, |file| file.len() == 0);
    if is_empty && has_log {
        bail!(
            "`{0}` is missing or empty, but `{1}` has a log that began; restore it from its backup, or remove \
             `{1}/{LOG_KEY}` to begin anew",
            file.display(),
            folder.path().display()
        );
    }
    Ok(())
}

/// Draws of a port that is free at both addresses of this machine.
const DRAWS: usize = 16;

/// Listens at `address`, and at the other addresses that `localhost` leads to: whoever else had one of them would be
/// taken for us by a browser, and be handed the links, cookies and passkeys that are for us.
async fn bind_localhost(address: SocketAddr) -> Result<Vec<TcpListener>> {
    let mut draw = 1;
    loop {
        let mut listeners = vec![bind(address).await?];
        let port = first(&listeners)?.local_addr()?.port();
        let names: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let mut is_taken = false;
        for ip in names.into_iter().filter(|ip| *ip != address.ip()) {
            match TcpListener::bind(SocketAddr::new(ip, port)).await {
                Ok(listener) => listeners.push(listener),
                Err(error) if error.kind() == ErrorKind::AddrInUse => is_taken = true,
                // A machine without this kind of address has nobody else there either.
                Err(error) => tracing::debug!(%error, %ip, "not an address of this machine"),
            }
        }
        if !is_taken {
            return Ok(listeners);
        }
        if address.port() != 0 || draw == DRAWS {
            bail!(
                "somebody else listens at port {port} of `localhost`, and browsers would take it for this authority; \
                 give another port with `--listen`, or stop what listens there"
            );
        }
        draw += 1;
    }
}

/// Where connections come in, as it was asked for and for commands of this machine.
struct Doors {
    listeners: Vec<Listener>,
    /// Where commands of this machine ask, over plain HTTP on loopback.
    local: SocketAddr,
    /// Takes the next certificate.
    renewed: Option<watch::Sender<Arc<ServerConfig>>>,
}

impl Doors {
    /// Without TLS, commands of this machine ask where everybody does. With it they have a door of their own on loopback:
    /// they know the process by its key, and not by the name in a certificate.
    async fn open(asked: Vec<TcpListener>, secured: Option<&tls::Loaded>) -> Result<Self> {
        let (renewed, current) = match secured {
            Some(secured) => {
                let (renewed, current) = watch::channel(Arc::clone(&secured.config));
                (Some(renewed), Some(current))
            }
            None => (None, None),
        };
        let mut listeners: Vec<Listener> = asked
            .into_iter()
            .map(|tcp| Listener {
                tcp,
                tls: current.clone(),
            })
            .collect();
        if current.is_some() {
            let tcp = bind(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)).await?;
            listeners.insert(0, Listener { tcp, tls: None });
        }
        let first = listeners.first().context("nothing listens")?;
        Ok(Self {
            local: first.tcp.local_addr()?,
            listeners,
            renewed,
        })
    }
}

/// The first of the listeners, which the address was asked for.
fn first(listeners: &[TcpListener]) -> Result<&TcpListener> {
    listeners.first().context("nothing listens")
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("`{address}` is in use or not ours; give another with `--listen`, or stop what listens there")
    })
}

/// The names under which we answer: the public one, and where we listen.
fn hosts(issuer: &str, addresses: [SocketAddr; 2]) -> Vec<String> {
    let public = issuer
        .split_once("://")
        .map_or(issuer, |(_, host)| host)
        .to_owned();
    let mut hosts = vec![public];
    for address in addresses {
        let port = address.port();
        hosts.extend([
            address.to_string(),
            format!("localhost:{port}"),
            format!("127.0.0.1:{port}"),
            format!("[::1]:{port}"),
        ]);
    }
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

/// The database that is meant: a URL, a path, or `chancery.db` in the data folder.
pub(crate) fn database(place: &Place, folder: &Path) -> Result<DatabaseUrl> {
    match &place.database {
        None => Ok(DatabaseUrl::Sqlite(folder.join("chancery.db"))),
        Some(text) if text.contains("://") || text.starts_with("sqlite:") => {
            Ok(DatabaseUrl::parse(text)?)
        }
        Some(path) => Ok(DatabaseUrl::Sqlite(PathBuf::from(path))),
    }
}

/// All that a server process of the gateway sees of our environment.
pub(crate) fn environment() -> Vec<(String, String)> {
    ["PATH", "HOME", "LANG"]
        .into_iter()
        .filter_map(|name| {
            std::env::var(name)
                .ok()
                .map(|value| (name.to_owned(), value))
        })
        .collect()
}

/// What programs are told that started us. People open the console at the origin that passkeys are bound to, which on
/// loopback is another than the address.
fn ready(running: &Running) -> serde_json::Value {
    let console = format!("{}/console/", running.authority.relying_party.origin());
    serde_json::json!({"ready": true, "url": running.url, "console": console})
}

/// `chancery up`.
pub(crate) async fn up(args: UpArgs) -> Result<()> {
    // What a client does wrong on its connection is its own affair, and no warning to whoever has the terminal.
    log_lines("warn,h2=error", LogFormat::Text)?;
    let mut running = start(&args.place).await?;
    if let Some(person) = &args.test_login {
        running.answer_as(person).await?;
    }
    if args.json {
        println!("{}", ready(&running));
    } else {
        let folder = running.folder.path().display();
        println!("Chancery is up: {}", running.url);
        println!(
            "  console   {}/console/#login={}",
            running.authority.relying_party.origin(),
            running.console_login
        );
        println!("  command   chancery --data {folder} agent list");
        println!("  data      {folder} (readable by you alone)");
        println!("Ctrl-C stops it.");
    }
    running.serve(told_to_stop()?).await;
    Ok(())
}

/// `chancery serve`.
pub(crate) async fn serve(args: ServeArgs) -> Result<()> {
    log_lines(&args.log, args.log_format)?;
    let running = start(&args.place).await?;
    if args.json {
        println!("{}", ready(&running));
    }
    tracing::info!(
        url = running.url,
        issuer = running.authority.config.issuer,
        "the authority is ready"
    );
    running.serve(told_to_stop()?).await;
    Ok(())
}

/// Resolves when the process is told to end.
fn told_to_stop() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn log_lines(filter: &str, format: LogFormat) -> Result<()> {
    let filter = EnvFilter::try_new(filter).context("the log filter is not one")?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    set.map_err(|error| anyhow::anyhow!("log lines cannot be set up: {error}"))
}
