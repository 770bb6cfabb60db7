//! TLS of our own: the certificate and its key, the authorities that clients are known by, and what is done when the
//! files change.
//!
//! A client may open a connection with a certificate, or without one. The handshake proves that it has the key; whether
//! that says anything about who it is, is decided where it authenticates, by what is registered for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use chancery_authority::state::Authority;
use chancery_cli::roles::Place;
use chancery_model::time::Timestamp;
use chancery_wire::certificate::trust::ClientTrust;
use chancery_wire::certificate::{self, Validity};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme, version,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How often the files are looked at.
const LOOKED_AT: Duration = Duration::from_secs(30);

/// The files of TLS, as they were named.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    client_crl: Option<PathBuf>,
}

/// What the files held.
pub(crate) struct Loaded {
    /// What connections are opened with.
    pub(crate) config: Arc<ServerConfig>,
    /// Whose certificates name clients.
    pub(crate) trust: ClientTrust,
    /// The certificate, in DER.
    pub(crate) certificate: Vec<u8>,
    /// When the certificate is in force.
    pub(crate) validity: Validity,
}

impl Files {
    /// The files that were named, if any were; the command line has seen to it that certificate and key are.
    pub(crate) fn of(place: &Place) -> Option<Self> {
        let (Some(certificate), Some(key)) = (&place.tls_cert, &place.tls_key) else {
            return None;
        };
        Some(Self {
            certificate: certificate.clone(),
            key: key.clone(),
            client_ca: place.tls_client_ca.clone(),
            client_crl: place.tls_client_crl.clone(),
        })
    }

    /// The file of the key.
    pub(crate) fn key(&self) -> &Path {
        &self.key
    }

    /// Reads them all; nothing is taken of what is wrong, too late or too early.
    pub(crate) fn load(&self, now: Timestamp) -> Result<Loaded> {
        let (file, key) = (self.certificate.display(), self.key.display());
        let text = read(&self.certificate)?;
        let chain = certificate::of_pem(&text)
            .with_context(|| format!("`{file}` is not a certificate with its chain, in PEM"))?;
        let own = chain.first().context("a chain has a certificate")?.clone();
        let validity = certificate::validity(&own)
            .with_context(|| format!("the certificate in `{file}` cannot be read"))?;
        if validity.until <= now {
            bail!("the certificate in `{file}` has expired; renew it");
        }
        if now < validity.from {
            bail!("the certificate in `{file}` is not valid yet; is the clock right?");
        }
        let secret = PrivateKeyDer::from_pem_slice(&read(&self.key)?)
            .with_context(|| format!("`{key}` is not a private key, in PEM"))?;
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        let config = config(chain, secret)
            .with_context(|| format!("`{key}` is not the key of the certificate in `{file}`"))?;
        Ok(Loaded {
            config: Arc::new(config),
            trust: self.trust()?,
            certificate: own,
            validity,
        })
    }

    fn trust(&self) -> Result<ClientTrust> {
        let Some(authorities) = &self.client_ca else {
            return Ok(ClientTrust::nobody());
        };
        let lists = self.client_crl.as_deref().map(read).transpose()?;
        ClientTrust::of_pem(&read(authorities)?, lists.as_deref()).with_context(|| {
            let lists = self.client_crl.as_ref();
            let lists = lists.map(|file| format!(" or `{}`", file.display()));
            format!(
                "`{}`{} cannot be used",
                authorities.display(),
                lists.unwrap_or_default()
            )
        })
    }

    /// What is seen of the files from outside: it differs after they were written.
    fn stamps(&self) -> Vec<Option<(SystemTime, u64)>> {
        let files = [Some(&self.certificate), Some(&self.key)];
        let more = [self.client_ca.as_ref(), self.client_crl.as_ref()];
        let stamp = |file: &PathBuf| {
            let seen = file.metadata().ok()?;
            Some((seen.modified().ok()?, seen.len()))
        };
        files.into_iter().chain(more).flatten().map(stamp).collect()
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("`{}` cannot be read", file.display()))
}

/// TLS 1.3 and 1.2, HTTP/2 and HTTP/1.1, a certificate of the client if it has one.
fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let shown = Arc::new(AnyCertificate::of(&provider));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .with_client_cert_verifier(shown)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Reads the files again when they changed or the process is told to (SIGHUP). What is wrong with them is said, and what
/// was there stays.
pub(crate) async fn keep(
    files: Files,
    current: watch::Sender<Arc<ServerConfig>>,
    authority: Arc<Authority>,
) {
    let mut told = match signal(SignalKind::hangup()) {
        Ok(told) => told,
        Err(error) => {
            tracing::error!(%error, "renewed certificates are not taken up before a restart");
            return;
        }
    };
    let mut seen = files.stamps();
    loop {
        let is_told = tokio::select! {
            _ = told.recv() => true,
            () = tokio::time::sleep(LOOKED_AT) => false,
        };
        let stamps = files.stamps();
        if !is_told && stamps == seen {
            continue;
        }
        seen = stamps;
        match files.load(authority.clock.now()) {
            Ok(loaded) => {
                authority.trust_clients_of(loaded.trust);
                current.send_replace(loaded.config);
                tracing::info!("the certificates were read again");
            }
            Err(error) => tracing::error!(
                error = format!("{error:#}"),
                "the certificates cannot be read again; those from before stay"
            ),
        }
    }
}

/// Takes any certificate, of which the handshake proves possession: who it names is decided later, by what is registered.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl AnyCertificate {
    fn of(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // Nobody needs more, and whoever looks for a way through them would take its time (X509-03).
        if others.len() >= certificate::MOST {
            return Err(Error::InvalidCertificate(
                rustls::CertificateError::ApplicationVerificationFailure,
            ));
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
