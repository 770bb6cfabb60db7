//! What a client asks of a person, wherever the answer goes: the columns that every table of such requests has.

use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::id::{AgentId, OwnerId};
use chancery_model::scope::Scope;
use chancery_model::time::Timestamp;
use chancery_model::tool_call::ToolCalls;

use crate::authentications::{self, Authentication};
use crate::authorized_calls;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::Row;

/// What a client asks of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Who asks.
    pub agent: AgentId,
    /// The one resource that is asked for.
    pub resource: String,
    /// What for.
    pub scope: Scope,
    /// The tool calls that it would be limited to.
    pub calls: Option<ToolCalls>,
    /// What the holder of what is given must prove to hold, as one text; none under an exception of the resource.
    pub cnf: Option<String>,
    /// Whether the person is asked.
    pub prompt: Prompt,
    /// For how long a sign-in counts.
    pub max_age: Option<Duration>,
    /// What goes into the ID token, and how surely it must be the person.
    pub authentication: Authentication,
    /// When it was asked.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was answered, and who did.
    pub answered: Option<(Timestamp, OwnerId)>,
}

/// Whether the person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// Yes.
    Ask,
    /// No: what they consented to before must do.
    None,
    /// Yes, and they sign in anew before.
    Login,
}

impl Prompt {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::None => "none",
            Self::Login => "login",
        }
    }
}

impl Wish {
    /// As a column holds for how long a sign-in counts.
    pub(crate) fn max_age_secs(&self) -> Option<i64> {
        self.max_age.map(|age| age.as_secs().cast_signed())
    }

    /// Adds what is beside the row that `hash` names, which is forgotten after `until`.
    pub(crate) async fn insert_beside(
        &self,
        tx: &mut Tx,
        hash: Digest,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        authentications::insert(tx, hash, &self.authentication, until).await?;
        authorized_calls::limit(tx, hash, self.calls.as_ref(), until).await
    }

    /// Reads the shared columns of a row, and what is beside it; how it prompts is said by the table.
    pub(crate) fn read(row: &Row, prompt: Prompt) -> Result<Self, StoreError> {
        let max_age = row.int_or_null("max_age")?.map(u64::try_from).transpose();
        let answered = match (
            row.time_or_null("answered_at")?,
            row.parse_or_null("answered_by")?,
        ) {
            (Some(at), Some(by)) => Some((at, by)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(row.corrupt("answered_by")),
        };
        Ok(Self {
            agent: row.parse("agent_id")?,
            resource: row.text("resource")?.to_owned(),
            scope: row.parse("scope")?,
            calls: authorized_calls::read(row)?,
            cnf: row.text_or_null("jkt")?.map(str::to_owned),
            prompt,
            max_age: max_age
                .map_err(|_| row.corrupt("max_age"))?
                .map(Duration::from_secs),
            authentication: authentications::read(row)?,
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
            answered,
        })
    }
}
