//! The acts that the decision point is asked about.

use std::fmt;

/// An act on the authority itself. Each is asked for by name, never by role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Register an agent.
    AgentRegister,
    /// Put a draft into force.
    AgentActivate,
    /// Propose a new version of an agent.
    AgentUpdate,
    /// Put a proposed version into force.
    AgentAccept,
    /// See agents and their versions.
    AgentRead,
    /// Stop an agent for now.
    AgentSuspend,
    /// Let a suspended agent act again.
    AgentResume,
    /// Stop an agent for good.
    AgentRetire,
    /// Give an agent to another owner.
    AgentTransfer,
    /// Add, change or disable owners and their logins.
    OwnerManage,
    /// See owners.
    OwnerRead,
    /// Register resource servers.
    ResourceManage,
    /// See resource servers.
    ResourceRead,
    /// Put MCP servers behind the gateway, accept their tools, remove them.
    McpManage,
    /// See MCP servers and their tools.
    McpRead,
    /// Add and remove policies.
    PolicyManage,
    /// See policies, ask what they would decide.
    PolicyRead,
    /// Rotate signing keys.
    KeyRotate,
    /// Read the record.
    LogRead,
    /// Revoke tokens of others.
    TokenRevoke,
    /// Let an agent act in one's own name.
    GrantGive,
    /// Take back what one let an agent do.
    GrantWithdraw,
    /// See what others let agents do.
    GrantRead,
    /// Revoke what others let agents do.
    GrantRevoke,
    /// Let clients register themselves for a while, and remove those that did.
    ClientManage,
    /// See clients that registered themselves.
    ClientRead,
    /// Add and remove those who vouch for running copies of clients.
    AttesterManage,
    /// See them.
    AttesterRead,
    /// Name issuers whose workloads may act as agents, and remove them.
    IssuerManage,
    /// See those issuers.
    IssuerRead,
    /// Add and remove providers that people sign in with.
    ProviderManage,
    /// See providers that people sign in with.
    ProviderRead,
}

/// Every act, in the order of the enumeration.
pub const ALL: [Action; 32] = [
    Action::AgentRegister,
    Action::AgentActivate,
    Action::AgentUpdate,
    Action::AgentAccept,
    Action::AgentRead,
    Action::AgentSuspend,
    Action::AgentResume,
    Action::AgentRetire,
    Action::AgentTransfer,
    Action::OwnerManage,
    Action::OwnerRead,
    Action::ResourceManage,
    Action::ResourceRead,
    Action::McpManage,
    Action::McpRead,
    Action::PolicyManage,
    Action::PolicyRead,
    Action::KeyRotate,
    Action::LogRead,
    Action::TokenRevoke,
    Action::GrantGive,
    Action::GrantWithdraw,
    Action::GrantRead,
    Action::GrantRevoke,
    Action::ClientManage,
    Action::ClientRead,
    Action::AttesterManage,
    Action::AttesterRead,
    Action::IssuerManage,
    Action::IssuerRead,
    Action::ProviderManage,
    Action::ProviderRead,
];

impl Action {
    /// The name in policies and in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::AgentRegister => "agent_register",
            Self::AgentActivate => "agent_activate",
            Self::AgentUpdate => "agent_update",
            Self::AgentAccept => "agent_accept",
            Self::AgentRead => "agent_read",
            Self::AgentSuspend => "agent_suspend",
            Self::AgentResume => "agent_resume",
            Self::AgentRetire => "agent_retire",
            Self::AgentTransfer => "agent_transfer",
            Self::OwnerManage => "owner_manage",
            Self::OwnerRead => "owner_read",
            Self::ResourceManage => "resource_manage",
            Self::ResourceRead => "resource_read",
            Self::McpManage => "mcp_manage",
            Self::McpRead => "mcp_read",
            Self::PolicyManage => "policy_manage",
            Self::PolicyRead => "policy_read",
            Self::KeyRotate => "key_rotate",
            Self::LogRead => "log_read",
            Self::TokenRevoke => "token_revoke",
            Self::GrantGive => "grant_give",
            Self::GrantWithdraw => "grant_withdraw",
            Self::GrantRead => "grant_read",
            Self::GrantRevoke => "grant_revoke",
            Self::ClientManage => "client_manage",
            Self::ClientRead => "client_read",
            Self::AttesterManage => "attester_manage",
            Self::AttesterRead => "attester_read",
            Self::IssuerManage => "issuer_manage",
            Self::IssuerRead => "issuer_read",
            Self::ProviderManage => "provider_manage",
            Self::ProviderRead => "provider_read",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
