//! What a client asks of a person, wherever the answer goes: the columns that every table of such requests has.

use std::time::Duration;

use chancery_model::id::{AgentId, OwnerId};
use chancery_model::scope::Scope;
use chancery_model::time::Timestamp;

use crate::error::StoreError;
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
    /// The key that what is given will be bound to; none under an exception of the resource.
    pub jkt: Option<String>,
    /// Whether the person is asked.
    pub prompt: Prompt,
    /// For how long a sign-in counts.
    pub max_age: Option<Duration>,
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

    /// Reads the shared columns of a row; how it prompts is said by the table.
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
            jkt: row.text_or_null("jkt")?.map(str::to_owned),
            prompt,
            max_age: max_age
                .map_err(|_| row.corrupt("max_age"))?
                .map(Duration::from_secs),
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
            answered,
        })
    }
}
