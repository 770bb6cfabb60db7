//! `chancery agent …`: the life of an agent, from its document to its end.

mod change;
mod documents;
mod stop;
mod trust;
mod view;

use std::path::PathBuf;

use chancery_api::agents::{AgentQuery, RegisterAgent, ReplaceRedirects, Stopped};
use clap::{Args, Subcommand, ValueEnum};

use crate::authentication::Authentication;
use crate::documents::{read_as, read_key_set};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::{Session, all};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Print an identity document to start from, with every member explained
    #[command(after_help = "Example:\n  chancery agent init refund-bot > refund-bot.yaml")]
    Init(documents::Init),
    /// Print the JSON Schema of identity documents
    #[command(after_help = "Example:\n  chancery agent schema > agent.schema.json")]
    Schema,
    /// Register an agent
    ///
    /// FILE is its identity document, YAML or JSON; `-` is the standard input. An agent that a policy wants
    /// reviewed begins as a draft.
    #[command(
        after_help = "Examples:\n  chancery agent register refund-bot.yaml --jwks refund-bot.jwks.json\n  chancery agent register refund-bot.yaml --auth-method tls_client_auth --certificate-uri spiffe://acme.example/refund-bot --bind-certificate"
    )]
    Register(Register),
    /// Register many agents, each from its document
    #[command(
        after_help = "Example:\n  chancery agent import agents/billing.yaml agents/support.yaml"
    )]
    Import(documents::Import),
    /// Print the document in force of an agent, as `register` takes it
    #[command(after_help = "Example:\n  chancery agent export refund-bot --format json")]
    Export(documents::Export),
    /// Show an agent
    #[command(after_help = "Example:\n  chancery agent show refund-bot")]
    Show(Which),
    /// List agents
    #[command(after_help = "Example:\n  chancery agent list --status suspended")]
    List(List),
    /// Propose a new version of an agent
    ///
    /// A version that only narrows what the agent may do is in force at once; one that widens it waits for a
    /// second person.
    #[command(after_help = "Example:\n  chancery agent update refund-bot.yaml")]
    Update(change::Update),
    /// List the versions of an agent
    #[command(after_help = "Example:\n  chancery agent versions refund-bot")]
    Versions(Which),
    /// Put a proposed version into force, as the second person
    #[command(after_help = "Example:\n  chancery agent accept refund-bot --version 2")]
    Accept(change::Accept),
    /// Refuse a proposed version
    #[command(after_help = "Example:\n  chancery agent reject refund-bot --reason 'too wide'")]
    Reject(change::Reject),
    /// Put a draft into force
    #[command(
        after_help = "Example:\n  chancery agent activate refund-bot\n  chancery agent activate refund-bot --version 2"
    )]
    Activate(change::Activate),
    /// Replace the public keys of an agent; what is bound to the old ones stops working
    #[command(after_help = "Example:\n  chancery agent keys refund-bot --jwks new.jwks.json")]
    Keys(change::Keys),
    /// Replace how an agent proves who it is; what was issued before stops working
    ///
    /// An agent has exactly one way: an assertion that it signs (`private_key_jwt`), a certificate with one registered name
    /// of an authority that `serve --tls-client-ca` names (`tls_client_auth`), or any certificate of one of its own keys
    /// (`self_signed_tls_client_auth`), or what an attester says about a running copy, with a proof by that copy
    /// (`attest_jwt_client_auth`, `attest_jwt_client_auth_dpop`).
    #[command(
        after_help = "Examples:\n  chancery agent authentication refund-bot --auth-method self_signed_tls_client_auth --bind-certificate\n  chancery agent authentication refund-bot --auth-method private_key_jwt"
    )]
    Authentication(change::ReplaceAuthentication),
    /// Say where answers for an agent may be sent when it asks people to act in their names
    #[command(
        after_help = "Example:\n  chancery agent redirects refund-bot https://app.example.com/callback http://127.0.0.1/callback"
    )]
    Redirects(change::Redirects),
    /// Let a workload of another issuer act as an agent, without a key of its own at rest
    ///
    /// Its tokens must have exactly this subject and these claims. Names can be given up and taken by somebody else: where
    /// the issuer has a claim with a number that is never used again, ask for that too.
    #[command(
        after_help = "Example:\n  chancery agent trust refund-bot --issuer github --subject repo:acme/refunds:environment:prod --claim repository_owner_id=1234\n  chancery agent trust refund-bot --list\n  chancery agent trust refund-bot --remove trs_01hzy0000000000000000000aa"
    )]
    Trust(trust::TrustArgs),
    /// Give an agent to another owner
    #[command(after_help = "Example:\n  chancery agent transfer refund-bot --to team:payments")]
    Transfer(change::Transfer),
    /// Stop an agent for now; prints the signed receipt
    #[command(after_help = "Example:\n  chancery agent suspend refund-bot --reason 'odd refunds'")]
    Suspend(stop::Stop),
    /// Let a suspended agent act again
    #[command(after_help = "Example:\n  chancery agent resume refund-bot")]
    Resume(Which),
    /// Stop an agent for good; prints the signed receipt
    #[command(after_help = "Example:\n  chancery agent retire refund-bot --reason 'replaced'")]
    Retire(stop::Stop),
}

/// One agent.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    agent: String,
}

#[derive(Debug, Args)]
pub(crate) struct Register {
    /// Its identity document, YAML or JSON; `-` is the standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The public keys that it will authenticate with
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    #[command(flatten)]
    authentication: Authentication,
    /// Where answers may be sent when it asks people to act in their names; may be given many times
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those that stand here in their life
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// At most this many; all when absent
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Status {
    Draft,
    Active,
    Suspended,
    Retired,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Retired => "retired",
        }
    }
}

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Init(args) => documents::init(session, &args),
        Verb::Schema => documents::schema(session),
        Verb::Register(args) => register(session, &args).await,
        Verb::Import(args) => documents::import(session, &args).await,
        Verb::Export(args) => documents::export(session, &args).await,
        Verb::Show(which) => show(session, &which).await,
        Verb::List(args) => list(session, &args).await,
        Verb::Update(args) => change::update(session, &args).await,
        Verb::Versions(which) => versions(session, &which).await,
        Verb::Accept(args) => change::accept(session, &args).await,
        Verb::Reject(args) => change::reject(session, &args).await,
        Verb::Activate(args) => change::activate(session, &args).await,
        Verb::Keys(args) => change::keys(session, &args).await,
        Verb::Authentication(args) => change::authentication(session, &args).await,
        Verb::Redirects(args) => change::redirects(session, &args).await,
        Verb::Trust(args) => trust::run(session, args).await,
        Verb::Transfer(args) => change::transfer(session, &args).await,
        Verb::Suspend(args) => stop::suspend(session, &args).await,
        Verb::Resume(which) => change::resume(session, &which).await,
        Verb::Retire(args) => stop::retire(session, &args).await,
    }
}

/// Prints what a stop stopped; tokens stop in the same way.
pub(crate) fn stopped(session: &Session, stopped: &Stopped) -> Result<Exit, Failure> {
    stop::show(session, stopped)
}

async fn register(session: &Session, args: &Register) -> Result<Exit, Failure> {
    let request = RegisterAgent {
        document: read_as(&args.file)?,
        jwks: args.jwks.as_deref().map(read_key_set).transpose()?,
        authentication: args.authentication.metadata()?,
    };
    let authority = session.authority()?;
    let mut agent = authority.agent_register(&request).await?;
    if !args.redirect_uris.is_empty() {
        let redirects = ReplaceRedirects {
            redirect_uris: args.redirect_uris.clone(),
            post_logout_redirect_uris: Vec::new(),
        };
        let set = authority.agent_redirects(agent.name.as_str(), &redirects);
        agent = set.await.map_err(|error| {
            let again = format!(
                "it is registered; then: chancery agent redirects {} URI…",
                agent.name
            );
            Failure::from(error).with_fix(again)
        })?;
    }
    view::agent(session, &agent)?;
    if agent.status == "draft" {
        session.output.remark(&format!(
            "a second person puts it into force: chancery agent activate {} --version {}",
            agent.name, agent.version_number
        ));
    }
    Ok(Exit::Done)
}

async fn show(session: &Session, which: &Which) -> Result<Exit, Failure> {
    let agent = session.authority()?.agent_show(&which.agent).await?;
    view::agent(session, &agent)?;
    Ok(Exit::Done)
}

async fn list(session: &Session, args: &List) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let page = all(args.limit, async |page| {
        let query = AgentQuery {
            status: args.status.map(|status| status.name().to_owned()),
            after: page.after,
            limit: page.limit,
        };
        authority.agent_list(&query).await
    })
    .await?;
    session.output.show(&page, || view::agents(&page.items))?;
    Ok(Exit::Done)
}

async fn versions(session: &Session, which: &Which) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let page = all(None, async |page| {
        authority.agent_versions(&which.agent, &page).await
    })
    .await?;
    session.output.show(&page, || view::versions(&page.items))?;
    Ok(Exit::Done)
}
