//! TLS of our own: real handshakes with the program, with certificates of the client and without, and renewal while it runs.
#![allow(
    clippy::disallowed_types,
    reason = "a test outside the program has the machine's sockets"
)]

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chancery_wire::certificate::{PeerCertificate, public_key};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::Program;

const NAME: &str = "id.example";
const BOT: &str = "spiffe://acme.example/refund-bot";

/// An authority for certificates, and where its files lie.
struct Root {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    folder: TempDir,
}

/// A certificate with its key.
struct Badge {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Badge {
    fn thumbprint(&self) -> String {
        let chain = self.chain.iter().map(|der| der.to_vec());
        let peer = PeerCertificate::of_handshake(chain).expect("a chain");
        peer.thumbprint().to_owned()
    }
}

impl Root {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).expect("a certificate");
        let root = Self {
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
            folder: tempfile::tempdir().expect("a folder"),
        };
        std::fs::write(root.file("ca.pem"), certificate.pem()).expect("written");
        root
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a certificate for the server, until this year.
    fn issue_server(&self, until: i32) -> CertificateDer<'static> {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([NAME.to_owned()]).expect("a name");
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).expect("issued");
        std::fs::write(self.file("server.pem"), certificate.pem()).expect("written");
        std::fs::write(self.file("server.key"), key.serialize_pem()).expect("written");
        certificate.der().clone()
    }

    fn issue_client(&self, uri: &str) -> Badge {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("ASCII"))];
        let certificate = params.signed_by(&key, &self.issuer).expect("issued");
        let chain = vec![certificate.der().clone()];
        Badge { chain, key }
    }

    /// The flags of TLS, on top of those of every start.
    fn with_tls(&self, command: &mut Command) {
        command.arg("--tls-cert").arg(self.file("server.pem"));
        command.arg("--tls-key").arg(self.file("server.key"));
        command.arg("--tls-client-ca").arg(self.file("ca.pem"));
    }
}

fn own_badge() -> Badge {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::default();
    let certificate = params.self_signed(&key).expect("a certificate");
    let chain = vec![certificate.der().clone()];
    Badge { chain, key }
}

/// Shows a certificate whenever it is asked for one.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A connection that shook hands.
struct Connection(StreamOwned<ClientConnection, TcpStream>);

impl Connection {
    fn open(
        program: &Program,
        root: &Root,
        badge: Option<&Badge>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(root.der.clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match badge {
            None => builder.with_no_client_auth(),
            Some(badge) => {
                let key = PrivateKeyDer::try_from(badge.key.serialize_der()).expect("a key");
                let key = any_supported_type(&key).expect("a key");
                // Not held to each other here: a thief has the certificate and another key.
                let shown = CertifiedKey::new(badge.chain.clone(), key);
                builder.with_client_cert_resolver(Arc::new(Shows(Arc::new(shown))))
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(NAME).expect("a name");
        let session = ClientConnection::new(Arc::new(config), name).expect("a session");
        let address = program.url.strip_prefix("https://").expect("TLS");
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut stream = StreamOwned::new(session, stream);
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Self(stream))
    }

    /// One request, and the whole answer.
    fn ask(mut self, head: &str, body: &str) -> std::io::Result<String> {
        let length = body.len();
        let request = format!(
            "{head}\r\nhost: {NAME}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.0.write_all(request.as_bytes())?;
        let mut answer = String::new();
        self.0.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn shown(&self) -> CertificateDer<'static> {
        let chain = self.0.conn.peer_certificates().expect("a certificate");
        chain[0].clone().into_owned()
    }
}

/// A token for an agent, asked for over a connection with this certificate.
fn token(program: &Program, root: &Root, badge: Option<&Badge>, client: &str) -> (u16, Value) {
    let connection = Connection::open(program, root, badge, &[&TLS13, &TLS12]);
    let head =
        "POST /oauth/token HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded".to_owned();
    let form = format!(
        "grant_type=client_credentials&client_id={client}&resource=https%3A%2F%2Fr1.example"
    );
    let answer = connection.expect("a connection").ask(&head, &form);
    let answer = answer.expect("an answer");
    let status = answer.split(' ').nth(1).expect("a status");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let status = status.parse().expect("a number");
    (status, serde_json::from_str(body).expect("JSON"))
}

/// A command of this machine, which knows the program by its data folder.
fn command(data: &Path, words: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chancery"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHANCERY_")) {
        command.env_remove(name);
    }
    command.arg("--data").arg(data).args(words).arg("--json");
    let output = command.output().expect("the program");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {told}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// What the program says that does not start.
fn refused(data: &Path, words: &[&str], change: impl FnOnce(&mut Command)) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chancery"));
    command.arg("--data").arg(data).arg("up").args(words);
    change(&mut command);
    let output = command.output().expect("the program");
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn hang_up(program: &Program) {
    let mut tell = Command::new("kill");
    tell.arg("-HUP").arg(program.id().to_string());
    assert!(tell.status().expect("told").success());
}

#[test]
fn client_is_known_by_the_certificate_of_its_connection() {
    let root = Root::new();
    root.issue_server(2090);
    let outside = tempfile::tempdir().expect("a folder");
    let data = outside.path().join("data");
    let program = Program::start_with(&data, |command| root.with_tls(command));
    for versions in [&[&TLS13][..], &[&TLS12][..]] {
        let connection = Connection::open(&program, &root, None, versions).expect("opened");
        let answer = connection.ask("GET /healthz HTTP/1.1", "").expect("read");
        assert!(answer.ends_with("ok\n"), "{answer}");
    }
    // Commands of this machine have a door of their own.
    command(&data, &["owner", "add", "alice@example.com"]);
    command(&data, &["resource", "register", "https://r1.example"]);
    let (own, issued) = (own_badge(), root.issue_client(BOT));
    let jwk = public_key(&own.chain[0]).expect("a key").to_jwk();
    let keys = root.file("jwks.json");
    std::fs::write(&keys, json!({"keys": [jwk]}).to_string()).expect("written");
    let register = |name: &str, more: &[&str]| {
        let document = root.file("agent.json");
        let text = json!({"name": name, "owner": "alice@example.com"}).to_string();
        std::fs::write(&document, text).expect("written");
        let mut words = vec!["agent", "register", document.to_str().expect("a path")];
        words.extend(more);
        let agent = command(&data, &words);
        agent["id"].as_str().expect("an id").to_owned()
    };
    let keys = keys.to_str().expect("a path");
    let by_itself = register(
        "own-bot",
        &[
            "--jwks",
            keys,
            "--auth-method",
            "self_signed_tls_client_auth",
            "--bind-certificate",
        ],
    );
    let by_authority = register(
        "named-bot",
        &["--certificate-uri", BOT, "--bind-certificate"],
    );
    for (id, badge, other) in [(&by_itself, &own, &issued), (&by_authority, &issued, &own)] {
        let (status, answer) = token(&program, &root, Some(badge), id);
        assert_eq!(status, 200, "{answer}");
        let token_text = answer["access_token"].as_str().expect("a token");
        let payload = token_text.split('.').nth(1).expect("a JWS");
        let payload = chancery_wire::base64url::decode(payload).expect("base64url");
        let claims: Value = serde_json::from_slice(&payload).expect("JSON");
        assert_eq!(claims["cnf"], json!({"x5t#S256": badge.thumbprint()}));
        for badge in [None, Some(other)] {
            let (status, answer) = token(&program, &root, badge, id);
            assert_eq!(status, 401, "{answer}");
            assert_eq!(answer["error"], "invalid_client");
        }
    }
}

#[test]
fn x509_02_certificate_without_its_key_opens_no_connection() {
    let root = Root::new();
    root.issue_server(2090);
    let outside = tempfile::tempdir().expect("a folder");
    let program = Program::start_with(&outside.path().join("data"), |command| {
        root.with_tls(command);
    });
    let (badge, other) = (root.issue_client(BOT), own_badge());
    let stolen = Badge {
        chain: badge.chain.clone(),
        key: other.key,
    };
    // TLS 1.3 tells the client only with the first answer that its proof was none.
    let opened = Connection::open(&program, &root, Some(&stolen), &[&TLS13]);
    let answered = opened.and_then(|connection| connection.ask("GET /healthz HTTP/1.1", ""));
    assert!(answered.is_err(), "{answered:?}");
    // More certificates than anybody needs end the handshake as well (X509-03).
    let long = Badge {
        chain: std::iter::repeat_n(badge.chain[0].clone(), 72).collect(),
        key: KeyPair::from_pem(&badge.key.serialize_pem()).expect("a key"),
    };
    let opened = Connection::open(&program, &root, Some(&long), &[&TLS13]);
    let answered = opened.and_then(|connection| connection.ask("GET /healthz HTTP/1.1", ""));
    assert!(answered.is_err(), "{answered:?}");
    let opened = Connection::open(&program, &root, Some(&badge), &[&TLS13]);
    let answered = opened.and_then(|connection| connection.ask("GET /healthz HTTP/1.1", ""));
    assert!(answered.expect("an answer").contains("200"));
}

#[test]
fn renewed_certificate_is_taken_up_while_it_runs_and_a_broken_one_is_not() {
    let root = Root::new();
    let first = root.issue_server(2090);
    let outside = tempfile::tempdir().expect("a folder");
    let log = root.file("log");
    let program = Program::start_with(&outside.path().join("data"), |command| {
        root.with_tls(command);
        command.stderr(File::create(&log).expect("a file"));
    });
    let until = |what: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !what() {
            assert!(begun.elapsed() < Duration::from_secs(20), "not taken up");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let refusals = || {
        let log = std::fs::read_to_string(&log).expect("the log");
        log.matches("those from before stay").count()
    };
    let shown = || {
        let connection = Connection::open(&program, &root, None, &[&TLS13]);
        connection.expect("a connection").shown()
    };
    assert_eq!(shown(), first);
    let second = root.issue_server(2091);
    hang_up(&program);
    until(&|| shown() == second);
    // What is wrong is not taken up, whether broken, over, or of another key.
    let key = std::fs::read(root.file("server.key")).expect("a key");
    for attempt in 0..3 {
        match attempt {
            0 => std::fs::write(root.file("server.pem"), "nothing").expect("written"),
            1 => drop(root.issue_server(2020)),
            _ => {
                root.issue_server(2092);
                std::fs::write(root.file("server.key"), &key).expect("written");
            }
        }
        hang_up(&program);
        until(&|| refusals() == attempt + 1);
        assert_eq!(shown(), second, "attempt {attempt}");
    }
    let third = root.issue_server(2093);
    hang_up(&program);
    until(&|| shown() == third);
}

#[test]
fn start_says_what_is_wrong_with_the_certificate_and_so_does_doctor() {
    let root = Root::new();
    let outside = tempfile::tempdir().expect("a folder");
    let data = outside.path().join("data");
    let words = ["--listen", "127.0.0.1:0", "--issuer", "https://id.example"];
    let told = refused(&data, &["--listen", "0.0.0.0:0"], |_| {});
    assert!(told.contains("--tls-cert"), "{told}");
    root.issue_server(2090);
    // Nor is a name of this machine one by which others reach it, and what is looser there is not for them.
    let here = ["--listen", "0.0.0.0:0", "--issuer", "https://localhost"];
    for words in [&here[..2], &here[..]] {
        let told = refused(&data, words, |command| root.with_tls(command));
        assert!(told.contains("--issuer"), "{told}");
    }
    let why = |change: &dyn Fn()| {
        root.issue_server(2090);
        change();
        let told = refused(&data, &words, |command| root.with_tls(command));
        let mut doctor = Command::new(env!("CARGO_BIN_EXE_chancery"));
        doctor.arg("--data").arg(&data).arg("doctor").args(words);
        root.with_tls(doctor.arg("--json"));
        let output = doctor.output().expect("the program");
        assert!(!output.status.success());
        let findings: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let findings = findings["findings"].as_array().expect("a list").clone();
        let found = findings.into_iter().find(|one| one["check"] == "tls");
        let found = found.expect("a finding");
        assert_eq!(found["ok"], false, "{found}");
        let found = found["found"].as_str().expect("a text").to_owned();
        assert!(told.contains(&found), "{told} / {found}");
        told
    };
    let write = |name: &str, text: &str| std::fs::write(root.file(name), text).expect("written");
    let told = why(&|| drop(root.issue_server(2020)));
    assert!(told.contains("has expired; renew it"), "{told}");
    let told = why(&|| {
        let other = KeyPair::generate().expect("a key").serialize_pem();
        write("server.key", &other);
    });
    assert!(told.contains("is not the key of the certificate"), "{told}");
    let told = why(&|| write("server.pem", "nothing"));
    assert!(told.contains("is not a certificate"), "{told}");
    let told = why(&|| write("server.key", "nothing"));
    assert!(told.contains("is not a private key"), "{told}");
    let told = why(&|| std::fs::remove_file(root.file("server.pem")).expect("gone"));
    assert!(told.contains("cannot be read"), "{told}");
    let authorities = std::fs::read_to_string(root.file("ca.pem")).expect("read");
    let told = why(&|| write("ca.pem", "nothing"));
    assert!(told.contains("cannot be used"), "{told}");
    write("ca.pem", &authorities);
}
