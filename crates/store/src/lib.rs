//! One SQL over SQLite and PostgreSQL.
//!
//! The only write door is [`tx::Tx::commit`], which takes the events of the change: a row cannot change
//! without its record. High-rate events that change nothing else go through [`journal::Journal`], one
//! durable batch per flush; what such an event uses up, or leaves for the next step, is in the same flush
//! ([`journal::Step`]). There is one file per table; functions take `&mut Tx` and give `model`
//! types. What differs between the databases lives in `connect`. No rule lives here but how long a row is kept and counts.

pub mod agent_trusts;
pub mod agents;
pub mod attesters;
pub mod authentications;
pub mod authorized_calls;
pub mod client_agents;
pub mod client_authentications;
pub mod codes;
pub mod connect;
pub mod device_requests;
mod entries;
pub mod error;
pub mod grants;
pub mod invitations;
pub mod journal;
pub mod log;
pub mod logins;
pub mod mcp_servers;
pub mod meta;
mod migrate;
pub mod one_time;
pub mod outbox;
pub mod owners;
pub mod passkey_challenges;
pub mod passkeys;
pub mod policy_texts;
pub mod provider_links;
pub mod provider_uses;
pub mod providers;
pub mod pushed_requests;
pub mod recovery_codes;
pub mod redirects;
pub mod refresh_tokens;
pub mod registered_clients;
pub mod resources;
pub mod revocations;
pub mod rotating_tokens;
pub mod sessions;
pub mod signing_keys;
pub mod tx;
mod value;
pub mod versions;
pub mod wish;
pub mod workload_assertions;
pub mod workload_issuers;
pub mod wrong_user_codes;
