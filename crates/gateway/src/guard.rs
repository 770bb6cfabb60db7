//! Whether a call may still run: looked at before it is forwarded, every second, and before each event
//! that goes to the client (MCP-14, RACE-06).

use std::sync::Arc;

use chancery_model::decision::Effect;
use chancery_model::digest::Digest;
use chancery_model::id::DecisionId;
use chancery_model::time::Timestamp;
use chancery_policy::{CallContext, Question};
use serde_json::{Map, Value};

use crate::authenticate::Caller;
use crate::gateway::Gateway;
use crate::snapshot::{Inactive, KnownServer, Snapshot};

/// Why a call that was permitted may not run, or not run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fallen {
    /// The stable code.
    pub(crate) code: &'static str,
    /// One sentence for the client.
    pub(crate) message: &'static str,
}

impl From<Inactive> for Fallen {
    fn from(why: Inactive) -> Self {
        Self {
            code: why.code(),
            message: message(why),
        }
    }
}

/// What a client is told whose token is of no use.
pub(crate) fn message(why: Inactive) -> &'static str {
    match why {
        Inactive::Expired => "the access token has expired",
        Inactive::Revoked => "the access token was revoked",
        Inactive::Agent => "the agent is not active",
        Inactive::Stopped => "the access token is older than the last stop of its agent",
        Inactive::Version => "the access token is for another version of its agent",
        Inactive::Subject => "the person on whose behalf the access token is has left",
        Inactive::Grant => "the person no longer lets the agent act in their name",
    }
}

/// A call that was permitted, with all that the permission rested on.
pub(crate) struct Guard {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) caller: Caller,
    /// The server as it was when the call was judged.
    pub(crate) server: Arc<KnownServer>,
    pub(crate) tool: Arc<str>,
    /// The definition that the arguments were checked against.
    pub(crate) accepted: Digest,
    pub(crate) arguments: Arc<Map<String, Value>>,
    /// The snapshot that last permitted the call.
    pub(crate) judged: u64,
    /// Whether the call is a stream, which may not outlive its token.
    pub(crate) ends_with_token: bool,
}

impl Guard {
    /// Looks again; a snapshot that is newer than the permission is asked anew.
    pub(crate) fn check(&mut self) -> Result<(), Fallen> {
        let now = self.gateway.clock.now();
        let snapshot = self.gateway.current.load();
        if snapshot.freshness.is_stale(now) {
            return Err(Fallen {
                code: "snapshot_stale",
                message: "the gateway has not heard from its authority",
            });
        }
        let token = self.caller.token();
        let agent = if self.ends_with_token {
            snapshot.admit(token, now)?
        } else {
            snapshot.uphold(token, now)?
        };
        if snapshot.number == self.judged {
            return Ok(());
        }
        self.check_tool(&snapshot)?;
        let context = CallContext {
            now,
            sender_constrained: self.caller.is_sender_constrained(),
            second_person: false,
            subject: snapshot.subject_of(token.claims()).map(Arc::as_ref),
        };
        let question = Question::ToolCall {
            agent: &agent.facts,
            server: &self.server.server.name,
            tool: &self.tool,
            args: &self.arguments,
            context: &context,
        };
        let id = DecisionId::generate(now, &*self.gateway.entropy);
        if snapshot.policy.decide(id, &question).effect == Effect::Deny {
            return Err(Fallen {
                code: "no_longer_permitted",
                message: "the call is no longer permitted",
            });
        }
        self.judged = snapshot.number;
        Ok(())
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Timestamp {
        self.gateway.clock.now()
    }

    fn check_tool(&self, snapshot: &Snapshot) -> Result<(), Fallen> {
        let own = &self.server.server;
        let server = snapshot.servers.get(&own.name);
        let same = server.filter(|server| server.server.id == own.id);
        let accepted = same.and_then(|server| server.tools.get(&*self.tool));
        if accepted.is_some_and(|tool| tool.digest == self.accepted) {
            return Ok(());
        }
        Err(Fallen {
            code: "tool_withdrawn",
            message: "the tool is no longer accepted",
        })
    }
}
