//! `chancery provider …`: OpenID providers that people sign in with.

use std::path::PathBuf;

use chancery_api::providers::{AddProvider, ClaimRule, ProviderView};
use chancery_wire::json;
use clap::{Args, Subcommand};

use crate::documents::{read, read_text};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::{self, Facts};
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Add an OpenID provider that people may sign in with
    ///
    /// It is looked up before it is added. Register the redirect URI that is printed with the provider. A session that a
    /// provider begins has no role; what roles are for takes a passkey.
    #[command(
        after_help = "Example:\n  chancery provider add corp --issuer https://login.example.com --client-id 0oa1 --client-secret-file secret.txt --join --allow-domain example.com"
    )]
    Add(Box<Add>),
    /// List providers
    #[command(after_help = "Example:\n  chancery provider list")]
    List,
    /// Show a provider, with the addresses to register there
    #[command(after_help = "Example:\n  chancery provider show corp")]
    Show(Which),
    /// Remove a provider; the sessions that it began end
    #[command(after_help = "Example:\n  chancery provider remove corp")]
    Remove(Which),
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// How commands, paths and links name it: lower-case letters, digits and hyphens
    #[arg(value_name = "NAME")]
    name: String,
    /// Its issuer identifier, exactly as its discovery document writes it
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// What it calls this authority
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// The file with the secret that it gave this authority; `-` is the standard input
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "key",
        conflicts_with = "key"
    )]
    client_secret_file: Option<PathBuf>,
    /// A private key in place of a secret, a JWK; the provider knows its public half
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The claim that is the handle of a person; `preferred_username`, or else a verified `email`, when absent
    #[arg(long, value_name = "NAME")]
    handle_claim: Option<String>,
    /// Let in only people whose handle is of this domain; may be given many times
    #[arg(long = "allow-domain", value_name = "DOMAIN")]
    allow_domains: Vec<String>,
    /// Let in only people of whom the provider says this; may be given many times
    #[arg(long = "require-claim", value_name = "NAME=VALUE", value_parser = claim)]
    require_claims: Vec<ClaimRule>,
    /// Let people who are not known here become people at their first sign-in
    #[arg(long)]
    join: bool,
    /// Let the provider, and what its documents name, be on a private network
    #[arg(long)]
    private_network: bool,
}

/// Parses `NAME=VALUE`.
fn claim(text: &str) -> Result<ClaimRule, String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or("expected NAME=VALUE")?;
    Ok(ClaimRule {
        name: name.to_owned(),
        value: value.to_owned(),
    })
}

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Add(args) => add(session, *args).await,
        Verb::List => list(session).await,
        Verb::Show(which) => show(
            session,
            &session.authority()?.provider_show(&which.name).await?,
        ),
        Verb::Remove(which) => show(
            session,
            &session.authority()?.provider_remove(&which.name).await?,
        ),
    }
}

async fn add(session: &Session, args: Add) -> Result<Exit, Failure> {
    let provider = session.authority()?.provider_add(&request(args)?).await?;
    show(session, &provider)
}

fn request(args: Add) -> Result<AddProvider, Failure> {
    let secret = args
        .client_secret_file
        .as_deref()
        .map(read_text)
        .transpose()?;
    let key = match args.key.as_deref() {
        Some(path) => {
            let wrong = |error| Failure::unreadable(format!("{}: {error}", path.display()));
            Some(json::parse(&read(path)?, json::BODY).map_err(wrong)?)
        }
        None => None,
    };
    Ok(AddProvider {
        name: args.name,
        issuer: args.issuer,
        client_id: args.client_id,
        // Editors end a file with a line break, and no secret does.
        client_secret: secret.map(|secret| secret.trim().to_owned()),
        private_jwk: key,
        handle_claim: args.handle_claim,
        allow_domains: args.allow_domains,
        require_claims: args.require_claims,
        join: args.join,
        private_network: args.private_network,
    })
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let page = session.authority()?.provider_list().await?;
    session.output.show(&page, || {
        let rows = page.items.iter().map(|provider| {
            vec![
                provider.name.clone(),
                provider.issuer.clone(),
                if provider.join { "yes" } else { "no" }.to_owned(),
                provider.people.to_string(),
                provider.unanswered.to_string(),
            ]
        });
        let headings = ["name", "issuer", "lets join", "people", "unanswered"];
        layout::table(&headings, rows.collect(), "no providers")
    })?;
    Ok(Exit::Done)
}

fn show(session: &Session, provider: &ProviderView) -> Result<Exit, Failure> {
    session.output.show(provider, || facts(provider).render())?;
    Ok(Exit::Done)
}

fn facts(provider: &ProviderView) -> Facts {
    let claims: Vec<String> = (provider.require_claims.iter())
        .map(|claim| format!("{}={}", claim.name, claim.value))
        .collect();
    let flag = |is_set| if is_set { "yes" } else { "no" };
    Facts::new()
        .add("name", &provider.name)
        .add("id", provider.id)
        .add("issuer", &provider.issuer)
        .add("client id", &provider.client_id)
        .add("proves us by", &provider.method)
        .maybe("public key", provider.public_jwk.as_ref())
        .add("redirect URI", &provider.redirect_uri)
        .add("logout URI", &provider.logout_uri)
        .maybe("handle claim", provider.handle_claim.as_ref())
        .each("domains", &provider.allow_domains)
        .each("claims", &claims)
        .add("lets join", flag(provider.join))
        .add("private network", flag(provider.private_network))
        .add("people", provider.people)
        .add("unanswered", provider.unanswered)
        .add("added by", &provider.added_by)
        .add("added", &provider.created_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Command;
    use crate::args::tests::{asked, parsed};

    #[test]
    fn provider_is_added_with_a_secret_or_a_key_from_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        std::fs::write(&file, "s3cret\n").expect("a file");
        let line = format!(
            "chancery provider add corp --issuer https://login.example.com --client-id a --client-secret-file {} \
             --require-claim hd=example.com --require-claim a=b=c --allow-domain example.com --join",
            file.display()
        );
        let Command::Provider(Verb::Add(args)) = asked(&line).command else {
            panic!("another command");
        };
        let request = request(*args).expect("a request");
        assert_eq!(request.client_secret.as_deref(), Some("s3cret"));
        assert!(request.join && !request.private_network);
        assert_eq!(request.require_claims[1].value, "b=c");
        for wrong in [
            "chancery provider add corp --issuer https://a.example --client-id a",
            "chancery provider add corp --issuer https://a.example --client-id a --key k --client-secret-file s",
            "chancery provider add corp --issuer https://a.example --client-id a --key k --require-claim hd",
            "chancery provider add corp --client-id a --key k",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
