//! The record: events, receipts, checkpoints.

use chancery_model::event::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Proof that one event is in the log; a stranger verifies it offline with the log's key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// The canonical JSON of the event: exactly the bytes that the leaf hash covers.
    pub entry: String,
    /// Its index in the log.
    pub index: u64,
    /// The proof in the text form of c2sp.org/tlog-proof, with the signed checkpoint.
    pub proof: String,
    /// The verifier key of the log, `name+id+key`. Pin it; do not take it from a receipt in doubt.
    pub log_key: String,
}

/// An event with its place in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoggedEvent {
    /// Its index in the log.
    pub index: u64,
    /// What happened.
    pub event: Event,
}

/// Filters the record: `GET /v1/events`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Begin after this index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most this many; 100 when absent, 500 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only this kind, such as `call.denied`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only about this agent, by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The newest first.
    #[serde(default)]
    pub newest: bool,
}

/// The state of the log: `GET /v1/log`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogView {
    /// The origin line of its checkpoints.
    pub origin: String,
    /// How many entries are sealed.
    pub size: u64,
    /// The root hash, base64.
    pub root: String,
    /// The verifier key.
    pub log_key: String,
    /// Flushes, each of one or more durable events, that wait to be sealed.
    pub pending: u64,
    /// What was found altered in the sealed log, should that ever be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
}
