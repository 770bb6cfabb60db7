//! `chancery owner link`, `unlink` and `links`: by which providers a person is known.

use chancery_api::providers::{LinkPerson, LinkView};
use clap::Args;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::{self, Facts};
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct Link {
    /// The person's handle
    #[arg(value_name = "HANDLE")]
    handle: String,
    /// The name of the provider
    #[arg(long, value_name = "NAME")]
    provider: String,
    /// What the provider calls the person (`sub`); who signs in and is not known is shown it
    #[arg(long, value_name = "SUB")]
    subject: String,
}

impl Link {
    fn request(&self) -> LinkPerson {
        LinkPerson {
            provider: self.provider.clone(),
            subject: self.subject.clone(),
        }
    }
}

pub(super) async fn link(session: &Session, args: &Link) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let link = authority.owner_link(&args.handle, &args.request()).await?;
    show(session, &link)
}

pub(super) async fn unlink(session: &Session, args: &Link) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let link = authority
        .owner_unlink(&args.handle, &args.request())
        .await?;
    show(session, &link)
}

pub(super) async fn links(session: &Session, handle: &str) -> Result<Exit, Failure> {
    let page = session.authority()?.owner_links(handle).await?;
    session.output.show(&page, || {
        let rows = page.items.iter().map(|link| {
            vec![
                link.provider.clone().unwrap_or_else(|| link.issuer.clone()),
                link.subject.clone(),
                link.known_as.clone().unwrap_or_default(),
                link.vouched_at
                    .clone()
                    .unwrap_or_else(|| "never".to_owned()),
                link.left_at.clone().unwrap_or_default(),
            ]
        });
        let headings = ["provider", "subject", "known as", "vouched", "left"];
        layout::table(&headings, rows.collect(), "no links")
    })?;
    Ok(Exit::Done)
}

fn show(session: &Session, link: &LinkView) -> Result<Exit, Failure> {
    session.output.show(link, || {
        Facts::new()
            .add("owner", &link.owner)
            .maybe("provider", link.provider.as_ref())
            .add("issuer", &link.issuer)
            .add("subject", &link.subject)
            .maybe("known as", link.known_as.as_ref())
            .add("made", &link.created_at)
            .render()
    })?;
    Ok(Exit::Done)
}
