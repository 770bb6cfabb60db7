//! `chancery owner …`: the people and teams that answer for agents, and their logins.

use chancery_api::agents::Because;
use chancery_api::owners::{AddOwner, IssueLogin, OwnerView};
use clap::{Args, Subcommand, ValueEnum};

use crate::duration;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::{self, Facts};
use crate::session::{Session, all};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Add a person or a team, or change a team's members
    #[command(
        after_help = "Example:\n  chancery owner add alice@example.com\n  chancery owner add team:payments --member alice@example.com --member bob@example.com"
    )]
    Add(Add),
    /// List owners
    #[command(after_help = "Example:\n  chancery owner list")]
    List,
    /// Record that an owner left; agents that nobody answers for stop
    #[command(after_help = "Example:\n  chancery owner disable alice@example.com --reason 'left'")]
    Disable(Disable),
    /// Give a person a login; the secret is printed once
    #[command(
        after_help = "Example:\n  chancery owner login alice@example.com --role approver --lifetime 7d"
    )]
    Login(Login),
    /// End every login of a person, as when one may have leaked
    #[command(
        after_help = "Example:\n  chancery owner logout alice@example.com --reason 'laptop lost'"
    )]
    Logout(Disable),
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// An e-mail address, or `team:` and a name
    #[arg(value_name = "HANDLE")]
    handle: String,
    /// A member of the team; may be given many times
    #[arg(long = "member", value_name = "HANDLE")]
    members: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Disable {
    /// The owner's handle
    #[arg(value_name = "HANDLE")]
    handle: String,
    /// Why, in words; goes into the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Login {
    /// The person's handle
    #[arg(value_name = "HANDLE")]
    handle: String,
    /// What the person may do; may be given many times
    #[arg(long = "role", value_enum, value_name = "ROLE", required = true)]
    roles: Vec<Role>,
    /// For how long, such as `7d`; 30 days when absent, 90 at most
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    lifetime: Option<std::time::Duration>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    /// Everything
    Administrator,
    /// Put what others proposed into force
    Approver,
    /// Stop agents and tokens, read
    Operator,
    /// Read everything, change nothing
    Auditor,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }
}

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Add(args) => add(session, args).await,
        Verb::List => list(session).await,
        Verb::Disable(args) => disable(session, args).await,
        Verb::Login(args) => login(session, &args).await,
        Verb::Logout(args) => logout(session, args).await,
    }
}

async fn add(session: &Session, args: Add) -> Result<Exit, Failure> {
    let owner = AddOwner {
        handle: args.handle,
        members: args.members,
    };
    let owner = session.authority()?.owner_add(&owner).await?;
    show(session, &owner)
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let page = all(None, async |page| authority.owner_list(&page).await).await?;
    session.output.show(&page, || {
        let rows = page.items.iter().map(|owner| {
            vec![
                owner.handle.clone(),
                owner.kind.clone(),
                owner.status.clone(),
                owner.members.join(", "),
                owner.id.to_string(),
            ]
        });
        let headings = ["handle", "kind", "status", "members", "id"];
        layout::table(&headings, rows.collect(), "no owners")
    })?;
    Ok(Exit::Done)
}

async fn disable(session: &Session, args: Disable) -> Result<Exit, Failure> {
    let because = Because {
        reason: args.reason,
    };
    let authority = session.authority()?;
    let owner = authority.owner_disable(&args.handle, &because).await?;
    show(session, &owner)
}

async fn logout(session: &Session, args: Disable) -> Result<Exit, Failure> {
    let because = Because {
        reason: args.reason,
    };
    let authority = session.authority()?;
    let owner = authority.owner_logout(&args.handle, &because).await?;
    show(session, &owner)
}

async fn login(session: &Session, args: &Login) -> Result<Exit, Failure> {
    let wanted = IssueLogin {
        roles: args
            .roles
            .iter()
            .map(|role| role.name().to_owned())
            .collect(),
        lifetime: args.lifetime.map(|lifetime| lifetime.as_secs()),
    };
    let authority = session.authority()?;
    let login = authority.owner_login(&args.handle, &wanted).await?;
    session.output.show(&login, || {
        Facts::new()
            .add("login", &login.name)
            .add("owner", &login.owner)
            .add("issued by", &login.issued_by)
            .add("roles", login.roles.join(", "))
            .add("expires", &login.expires_at)
            .add("token", &login.token)
            .render()
    })?;
    session.output.remark(
        "keep the token: it is not stored and cannot be shown again; use it as CHANCERY_TOKEN",
    );
    Ok(Exit::Done)
}

fn show(session: &Session, owner: &OwnerView) -> Result<Exit, Failure> {
    session.output.show(owner, || {
        Facts::new()
            .add("handle", &owner.handle)
            .add("id", owner.id)
            .add("kind", &owner.kind)
            .styled("status", layout::status(&owner.status))
            .each("members", &owner.members)
            .add("added", &owner.created_at)
            .render()
    })?;
    Ok(Exit::Done)
}
