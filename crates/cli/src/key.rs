//! `chancery key …`: keys for agents, made here and nowhere else; and the authority's own.

use std::path::{Path, PathBuf};

use chancery_api::keys::{KeyView, RotateKey};
use chancery_wire::jwk::{Algorithm, PrivateKey};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::{self, Facts};
use crate::session::{Session, all};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a key pair for an agent
    ///
    /// The private key goes into a file that only you can read; the public JWK Set is printed, for
    /// `agent register --jwks`.
    #[command(
        after_help = "Example:\n  chancery key generate --out refund-bot.key.json --jwks-out refund-bot.jwks.json"
    )]
    Generate(Generate),
    /// List the signing keys of the authority
    #[command(after_help = "Example:\n  chancery key list")]
    List,
    /// Rotate a signing key of the authority
    ///
    /// What the old key signed still verifies until it ends, unless the key is withdrawn.
    #[command(
        after_help = "Example:\n  chancery key rotate access-token\n  chancery key rotate access-token --withdraw"
    )]
    Rotate(Rotate),
}

#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// The signature algorithm
    #[arg(long, value_enum, value_name = "ALG", default_value = "ES256")]
    alg: Alg,
    /// Where the private key goes, as a JWK; the file must not exist yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where the public JWK Set goes; printed when absent
    #[arg(long, value_name = "FILE")]
    jwks_out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Alg {
    /// ECDSA on P-256
    #[value(name = "ES256")]
    Es256,
    /// Ed25519
    #[value(name = "EdDSA")]
    EdDsa,
}

#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// What the key signs
    #[arg(value_enum, value_name = "PURPOSE")]
    purpose: Purpose,
    /// The old key stops verifying at once, and with it everything that it signed: for a key that leaked
    #[arg(long)]
    withdraw: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Purpose {
    /// Access tokens
    #[value(alias = "access_token")]
    AccessToken,
    /// ID tokens
    #[value(alias = "id_token")]
    IdToken,
    /// Identity documents
    Document,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::IdToken => "id_token",
            Self::Document => "document",
        }
    }
}

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Generate(args) => generate(session, &args),
        Verb::List => list(session).await,
        Verb::Rotate(args) => rotate(session, &args).await,
    }
}

fn generate(session: &Session, args: &Generate) -> Result<Exit, Failure> {
    let algorithm = match args.alg {
        Alg::Es256 => Algorithm::Es256,
        Alg::EdDsa => Algorithm::EdDsa,
    };
    let key = PrivateKey::generate(algorithm)
        .map_err(|error| Failure::unreadable(format!("cannot make a key: {error}")))?;
    write_private(&args.out, key.to_jwk().expose())?;
    let set = json!({"keys": [key.public().to_jwk()]});
    match &args.jwks_out {
        None => session.output.show(&set, || set.to_string())?,
        Some(path) => {
            std::fs::write(path, format!("{set}\n"))
                .map_err(|error| Failure::file("write", path, &error))?;
            let thumbprint = key.public().thumbprint();
            let made = json!({"kid": thumbprint, "private": args.out, "public": path});
            session.output.show(&made, || {
                Facts::new()
                    .add("kid", thumbprint)
                    .add("private", args.out.display())
                    .add("public", path.display())
                    .render()
            })?;
        }
    }
    Ok(Exit::Done)
}

/// Writes a secret into a new file that only its owner can read; an existing file is never touched.
fn write_private(path: &Path, secret: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options
        .open(path)
        .and_then(|mut file| writeln!(file, "{secret}").and_then(|()| file.sync_all()));
    written.map_err(|error| {
        let failure = Failure::file("write", path, &error);
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return failure.with_fix("name another file; a key is never overwritten");
        }
        failure
    })
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let page = all(None, async |page| authority.key_list(&page).await).await?;
    session.output.show(&page, || {
        let rows = page.items.iter().map(|key| {
            vec![
                key.purpose.clone(),
                key.alg.clone(),
                key.status.clone(),
                key.created_at.clone(),
                key.verifies_until.clone().unwrap_or_default(),
                key.kid.clone(),
            ]
        });
        let headings = [
            "purpose",
            "alg",
            "status",
            "created",
            "verifies until",
            "kid",
        ];
        layout::table(&headings, rows.collect(), "no keys")
    })?;
    Ok(Exit::Done)
}

async fn rotate(session: &Session, args: &Rotate) -> Result<Exit, Failure> {
    let rotate = RotateKey {
        purpose: args.purpose.name().to_owned(),
        withdraw: args.withdraw,
    };
    let key = session.authority()?.key_rotate(&rotate).await?;
    session.output.show(&key, || facts(&key).render())?;
    Ok(Exit::Done)
}

fn facts(key: &KeyView) -> Facts {
    Facts::new()
        .add("kid", &key.kid)
        .add("purpose", &key.purpose)
        .add("alg", &key.alg)
        .styled("status", layout::status(&key.status))
        .add("created", &key.created_at)
        .maybe("verifies until", key.verifies_until.as_ref())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_private_key_is_for_its_owner_and_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bot.key.json");
        write_private(&path, "first").expect("written");
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let refused = write_private(&path, "second").expect_err("there already");
        assert!(refused.text().contains("never overwritten"));
        assert_eq!(std::fs::read_to_string(&path).expect("text"), "first\n");
    }
}
