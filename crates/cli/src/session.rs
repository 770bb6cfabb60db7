//! What every command works with: the streams, the present moment, and the authority once it is needed.

use std::sync::Arc;

use chancery_api::page::{Page, PageQuery};
use chancery_client::authority::Authority;
use chancery_client::error::ClientError;
use chancery_model::entropy::Entropy;
use chancery_model::time::Timestamp;

use crate::args::Login;
use crate::failure::Failure;
use crate::login;
use crate::output::Output;

/// One run of a command.
pub(crate) struct Session {
    pub(crate) output: Output,
    pub(crate) login: Login,
    pub(crate) now: Timestamp,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl Session {
    /// The authority; finding it reads files, so only commands that need it ask.
    pub(crate) fn authority(&self) -> Result<Authority, Failure> {
        login::authority(&self.login, &self.entropy)
    }
}

/// All pages of a list, asked for one after another, or the first `wanted` entries.
pub(crate) async fn all<T>(
    wanted: Option<u32>,
    mut fetch: impl AsyncFnMut(PageQuery) -> Result<Page<T>, ClientError>,
) -> Result<Page<T>, Failure> {
    let wanted = wanted.map(|wanted| wanted as usize);
    let mut whole = Page {
        items: Vec::new(),
        next: None,
    };
    loop {
        let left = wanted.map(|wanted| wanted.saturating_sub(whole.items.len()));
        let limit = left.map_or(chancery_api::page::MAX_LIMIT, |left| {
            u32::try_from(left)
                .unwrap_or(u32::MAX)
                .min(chancery_api::page::MAX_LIMIT)
        });
        let page = fetch(PageQuery {
            after: whole.next.clone(),
            limit: Some(limit),
        })
        .await?;
        whole.items.extend(page.items);
        // A page that ends where it began would be asked for for ever.
        let stuck = page.next.is_some() && page.next == whole.next;
        whole.next = page.next;
        let full = wanted.is_some_and(|wanted| whole.items.len() >= wanted);
        if whole.next.is_none() || full || stuck {
            return Ok(whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pages_are_put_together_until_enough() {
        let pages = async |query: PageQuery| {
            let start: u32 = query
                .after
                .map_or(0, |after| after.parse().expect("a number"));
            let end = (start + query.limit.unwrap_or(100).min(3)).min(7);
            Ok(Page {
                items: (start..end).collect(),
                next: (end < 7).then(|| end.to_string()),
            })
        };
        let every = all(None, pages).await.expect("pages");
        assert_eq!(every.items, (0..7).collect::<Vec<_>>());
        assert_eq!(every.next, None);
        let some = all(Some(4), pages).await.expect("pages");
        assert_eq!(some.items, [0, 1, 2, 3]);
        assert_eq!(some.next.as_deref(), Some("4"));
    }
}
