//! `chancery owner …`: the people and teams that answer for agents, and how people sign in.

use chancery_api::agents::Because;
use chancery_api::owners::{AddOwner, IssueLogin, OwnerView};
use chancery_api::people::{InvitePerson, PasskeyView, SessionView};
use clap::{Args, Subcommand, ValueEnum};

use crate::duration;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::{self, Facts};
use crate::session::{Session, all};

mod link;

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
    /// Record that an owner left; their ways to sign in end, and agents that nobody answers for stop
    #[command(after_help = "Example:\n  chancery owner disable alice@example.com --reason 'left'")]
    Disable(Disable),
    /// Give a person a login; the secret is printed once
    #[command(
        after_help = "Example:\n  chancery owner login alice@example.com --role approver --lifetime 7d"
    )]
    Login(Login),
    /// End every login, session, open invitation and recovery code of a person, as when one may have leaked; passkeys stay
    #[command(
        after_help = "Example:\n  chancery owner logout alice@example.com --reason 'laptop lost'"
    )]
    Logout(Disable),
    /// Invite a person to enrol a passkey; the link is printed once, and good once
    ///
    /// A later invitation takes the place of one that nobody followed.
    #[command(
        after_help = "Example:\n  chancery owner invite alice@example.com --role approver --lifetime 2h"
    )]
    Invite(Invite),
    /// List the passkeys of a person
    #[command(after_help = "Example:\n  chancery owner passkeys alice@example.com")]
    Passkeys(Whose),
    /// End a passkey of a person, with its sessions and the recovery codes made with it
    #[command(
        after_help = "Example:\n  chancery owner revoke-passkey alice@example.com pky_01hzy0000000000000000000aa --reason 'phone lost'"
    )]
    RevokePasskey(RevokePasskey),
    /// Let a person sign in with a provider, by what the provider calls them
    #[command(
        after_help = "Example:\n  chancery owner link alice@example.com --provider corp --subject 00u1a2b3"
    )]
    Link(link::Link),
    /// Let a person no longer sign in with a provider; their sessions by it end
    #[command(
        after_help = "Example:\n  chancery owner unlink alice@example.com --provider corp --subject 00u1a2b3"
    )]
    Unlink(link::Link),
    /// List by which providers a person is known
    #[command(after_help = "Example:\n  chancery owner links alice@example.com")]
    Links(Whose),
    /// List the sessions of a person in browsers
    #[command(after_help = "Example:\n  chancery owner sessions alice@example.com")]
    Sessions(Whose),
    /// End a session of a person
    #[command(
        after_help = "Example:\n  chancery owner end-session alice@example.com ses_01hzy0000000000000000000aa --reason 'left open'"
    )]
    EndSession(EndSession),
}

#[derive(Debug, Args)]
pub(crate) struct Whose {
    /// The person's handle
    #[arg(value_name = "HANDLE")]
    handle: String,
}

#[derive(Debug, Args)]
pub(crate) struct Invite {
    /// The person's handle
    #[arg(value_name = "HANDLE")]
    handle: String,
    /// What the person may do; may be given many times
    #[arg(long = "role", value_enum, value_name = "ROLE", required = true)]
    roles: Vec<Role>,
    /// For how long the link is good, such as `2h`; a day when absent, a week at most
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    lifetime: Option<std::time::Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct RevokePasskey {
    /// The person's handle
    #[arg(value_name = "HANDLE")]
    handle: String,
    /// The passkey's id
    #[arg(value_name = "PASSKEY")]
    passkey: String,
    /// Why, in words; goes into the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct EndSession {
    /// The person's handle
    #[arg(value_name = "HANDLE")]
    handle: String,
    /// The session's id
    #[arg(value_name = "SESSION")]
    session: String,
    /// Why, in words; goes into the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
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
    /// Stop agents, tokens and grants, read
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
        Verb::Invite(args) => invite(session, &args).await,
        Verb::Passkeys(args) => passkeys(session, &args.handle).await,
        Verb::RevokePasskey(args) => revoke_passkey(session, args).await,
        Verb::Link(args) => link::link(session, &args).await,
        Verb::Unlink(args) => link::unlink(session, &args).await,
        Verb::Links(args) => link::links(session, &args.handle).await,
        Verb::Sessions(args) => sessions(session, &args.handle).await,
        Verb::EndSession(args) => end_session(session, args).await,
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
        roles: names(&args.roles),
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

fn names(roles: &[Role]) -> Vec<String> {
    roles.iter().map(|role| role.name().to_owned()).collect()
}

async fn invite(session: &Session, args: &Invite) -> Result<Exit, Failure> {
    let wanted = InvitePerson {
        roles: names(&args.roles),
        lifetime: args.lifetime.map(|lifetime| lifetime.as_secs()),
    };
    let authority = session.authority()?;
    let invitation = authority.owner_invite(&args.handle, &wanted).await?;
    session.output.show(&invitation, || {
        Facts::new()
            .add("owner", &invitation.owner)
            .add("issued by", &invitation.issued_by)
            .add("roles", invitation.roles.join(", "))
            .add("expires", &invitation.expires_at)
            .add("link", &invitation.link)
            .render()
    })?;
    session.output.remark(
        "hand the link over on a channel that only they read: whoever opens it first enrols a passkey in their name",
    );
    Ok(Exit::Done)
}

async fn passkeys(session: &Session, handle: &str) -> Result<Exit, Failure> {
    let page = session.authority()?.owner_passkeys(handle).await?;
    session.output.show(&page, || {
        let rows = page.items.iter().map(|passkey| {
            vec![
                passkey.id.to_string(),
                passkey.name.clone(),
                passkey.roles.join(", "),
                passkey.issued_by.clone().unwrap_or_default(),
                passkey.created_at.clone(),
                passkey
                    .used_at
                    .clone()
                    .unwrap_or_else(|| "never".to_owned()),
            ]
        });
        let headings = ["id", "name", "roles", "issued by", "enrolled", "used"];
        layout::table(&headings, rows.collect(), "no passkeys")
    })?;
    Ok(Exit::Done)
}

async fn revoke_passkey(session: &Session, args: RevokePasskey) -> Result<Exit, Failure> {
    let because = Because {
        reason: args.reason,
    };
    let authority = session.authority()?;
    let ended = authority.owner_revoke_passkey(&args.handle, &args.passkey, &because);
    let passkey: PasskeyView = ended.await?;
    session.output.show(&passkey, || {
        Facts::new()
            .add("revoked", passkey.id)
            .add("name", &passkey.name)
            .render()
    })?;
    Ok(Exit::Done)
}

async fn sessions(session: &Session, handle: &str) -> Result<Exit, Failure> {
    let page = session.authority()?.owner_sessions(handle).await?;
    session.output.show(&page, || {
        let rows = page.items.iter().map(|one| {
            let with = one.provider.clone();
            let with = with.unwrap_or_else(|| one.signed_in_with.replace('_', " "));
            vec![
                one.id.to_string(),
                with,
                one.began_at.clone(),
                one.used_at.clone(),
                one.ends_at.clone(),
            ]
        });
        let headings = ["id", "signed in with", "began", "used", "ends"];
        layout::table(&headings, rows.collect(), "no sessions")
    })?;
    Ok(Exit::Done)
}

async fn end_session(session: &Session, args: EndSession) -> Result<Exit, Failure> {
    let because = Because {
        reason: args.reason,
    };
    let authority = session.authority()?;
    let ended = authority.owner_end_session(&args.handle, &args.session, &because);
    let ended: SessionView = ended.await?;
    session.output.show(&ended, || {
        Facts::new()
            .add("ended", ended.id)
            .add("began", &ended.began_at)
            .render()
    })?;
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
