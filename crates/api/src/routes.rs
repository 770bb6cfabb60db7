//! The table of our endpoints: the one list behind the OpenAPI document and the coverage tests.

use chancery_model::action::Action;

/// One endpoint under `/v1`.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// The path, with `{parameters}`.
    pub path: &'static str,
    /// The act that the decision point is asked about; `None` when any authenticated caller may.
    pub action: Option<Action>,
    /// The name of the request's shape, when it has a body.
    pub request: Option<&'static str>,
    /// The name of the answer's shape.
    pub answer: &'static str,
    /// One sentence for the OpenAPI document.
    pub summary: &'static str,
}

macro_rules! routes {
    ($($method:literal $path:literal $action:expr, $request:expr, $answer:literal, $summary:literal;)*) => {
        &[$(Route { method: $method, path: $path, action: $action, request: $request, answer: $answer, summary: $summary }),*]
    };
}

/// Every endpoint under `/v1` that a login of any kind may ask.
pub const ROUTES: &[Route] = routes! {
    "GET" "/v1/whoami" None, None, "WhoAmI", "Say who the caller is";
    "POST" "/v1/agents" Some(Action::AgentRegister), Some("RegisterAgent"), "AgentView", "Register an agent";
    "GET" "/v1/agents" Some(Action::AgentRead), None, "AgentPage", "List agents";
    "GET" "/v1/agents/{agent}" Some(Action::AgentRead), None, "AgentView", "Show an agent";
    "PUT" "/v1/agents/{agent}" Some(Action::AgentUpdate), Some("UpdateAgent"), "AgentView", "Propose a new version";
    "PUT" "/v1/agents/{agent}/keys" Some(Action::AgentUpdate), Some("ReplaceKeys"), "AgentView", "Replace an agent's keys";
    "PUT" "/v1/agents/{agent}/authentication" Some(Action::AgentUpdate), Some("ClientAuthenticationMetadata"), "AgentView", "Replace how an agent authenticates";
    "PUT" "/v1/agents/{agent}/redirect-uris" Some(Action::AgentUpdate), Some("ReplaceRedirects"), "AgentView", "Replace where answers for an agent may be sent";
    "POST" "/v1/agents/{agent}/trusts" Some(Action::AgentUpdate), Some("AddTrust"), "AgentView", "Let a workload of another issuer act as an agent";
    "DELETE" "/v1/agents/{agent}/trusts/{trust}" Some(Action::AgentUpdate), None, "AgentView", "Let a workload no longer act as an agent";
    "GET" "/v1/agents/{agent}/versions" Some(Action::AgentRead), None, "VersionPage", "List the versions of an agent";
    "POST" "/v1/agents/{agent}/versions/{number}/accept" Some(Action::AgentAccept), None, "AgentView", "Put a proposed version into force";
    "POST" "/v1/agents/{agent}/versions/{number}/reject" Some(Action::AgentAccept), Some("Because"), "AgentView", "Refuse a proposed version";
    "POST" "/v1/agents/{agent}/activate" Some(Action::AgentActivate), None, "AgentView", "Put a draft into force";
    "POST" "/v1/agents/{agent}/suspend" Some(Action::AgentSuspend), Some("Because"), "Stopped", "Stop an agent for now";
    "POST" "/v1/agents/{agent}/resume" Some(Action::AgentResume), None, "AgentView", "Let a suspended agent act again";
    "POST" "/v1/agents/{agent}/retire" Some(Action::AgentRetire), Some("Because"), "Stopped", "Stop an agent for good";
    "POST" "/v1/agents/{agent}/transfer" Some(Action::AgentTransfer), Some("TransferAgent"), "AgentView", "Give an agent to another owner";
    "POST" "/v1/owners" Some(Action::OwnerManage), Some("AddOwner"), "OwnerView", "Add a person or a team, or change a team's members";
    "GET" "/v1/owners" Some(Action::OwnerRead), None, "OwnerPage", "List owners";
    "POST" "/v1/owners/{owner}/disable" Some(Action::OwnerManage), Some("Because"), "OwnerView", "Record that an owner left";
    "POST" "/v1/owners/{owner}/logins" Some(Action::OwnerManage), Some("IssueLogin"), "Login", "Give a person a login";
    "POST" "/v1/owners/{owner}/logout" Some(Action::OwnerManage), Some("Because"), "OwnerView", "End every login, session, open invitation and recovery code of a person";
    "POST" "/v1/owners/{owner}/invitations" Some(Action::OwnerManage), Some("InvitePerson"), "Invitation", "Invite a person to enrol a passkey";
    "GET" "/v1/owners/{owner}/passkeys" Some(Action::OwnerRead), None, "PasskeyPage", "List the passkeys of a person";
    "POST" "/v1/owners/{owner}/passkeys/{passkey}/revoke" Some(Action::OwnerManage), Some("Because"), "PasskeyView", "End a passkey of a person, and what it began";
    "GET" "/v1/owners/{owner}/sessions" Some(Action::OwnerRead), None, "SessionPage", "List the sessions of a person";
    "POST" "/v1/owners/{owner}/sessions/{session}/end" Some(Action::OwnerManage), Some("Because"), "SessionView", "End a session of a person";
    "GET" "/v1/owners/{owner}/links" Some(Action::OwnerRead), None, "LinkPage", "List by which providers a person is known";
    "POST" "/v1/owners/{owner}/links" Some(Action::OwnerManage), Some("LinkPerson"), "LinkView", "Let a person sign in with a provider";
    "POST" "/v1/owners/{owner}/links/remove" Some(Action::OwnerManage), Some("LinkPerson"), "LinkView", "Let a person no longer sign in with a provider, and end their sessions by it";
    "POST" "/v1/providers" Some(Action::ProviderManage), Some("AddProvider"), "ProviderView", "Add a provider that people may sign in with";
    "GET" "/v1/providers" Some(Action::ProviderRead), None, "ProviderPage", "List providers that people sign in with";
    "GET" "/v1/providers/{provider}" Some(Action::ProviderRead), None, "ProviderView", "Show a provider";
    "DELETE" "/v1/providers/{provider}" Some(Action::ProviderManage), None, "ProviderView", "Remove a provider, and end the sessions that it began";
    "POST" "/v1/resources" Some(Action::ResourceManage), Some("RegisterResource"), "ResourceView", "Register a resource server";
    "GET" "/v1/resources" Some(Action::ResourceRead), None, "ResourcePage", "List resource servers";
    "POST" "/v1/mcp" Some(Action::McpManage), Some("AddMcpServer"), "McpServerView", "Put an MCP server behind the gateway";
    "GET" "/v1/mcp" Some(Action::McpRead), None, "McpServerPage", "List MCP servers";
    "GET" "/v1/mcp/{server}" Some(Action::McpRead), None, "McpServerView", "Show an MCP server and its tools";
    "POST" "/v1/mcp/{server}/accept" Some(Action::McpManage), None, "McpServerView", "Accept the server's tools as they are now";
    "DELETE" "/v1/mcp/{server}" Some(Action::McpManage), None, "McpServerView", "Remove an MCP server";
    "PUT" "/v1/policies/{policy}" Some(Action::PolicyManage), Some("PolicyText"), "PolicyView", "Add or replace a policy text";
    "GET" "/v1/policies" Some(Action::PolicyRead), None, "PolicyPage", "List policy texts";
    "DELETE" "/v1/policies/{policy}" Some(Action::PolicyManage), None, "PolicyView", "Remove a policy text";
    "POST" "/v1/policies/check" Some(Action::PolicyRead), Some("PolicyText"), "CheckReport", "Check a text against what is in force";
    "POST" "/v1/policies/explain" Some(Action::PolicyRead), Some("ExplainCall"), "Explanation", "Explain what would be decided";
    "GET" "/v1/policies/schema" Some(Action::PolicyRead), None, "SchemaText", "The Cedar schema that policies are checked against";
    "GET" "/v1/keys" Some(Action::LogRead), None, "KeyPage", "List signing keys";
    "POST" "/v1/keys/rotate" Some(Action::KeyRotate), Some("RotateKey"), "KeyView", "Rotate a signing key";
    "POST" "/v1/tokens/revoke" Some(Action::TokenRevoke), Some("RevokeToken"), "Stopped", "Revoke a token";
    "GET" "/v1/grants" Some(Action::GrantRead), None, "GrantPage", "List what people let agents do; one's own without more";
    "POST" "/v1/grants/{grant}/revoke" Some(Action::GrantRevoke), Some("Because"), "Stopped", "Take a grant back; one's own without more";
    "GET" "/v1/clients" Some(Action::ClientRead), None, "ClientPage", "List clients that registered themselves";
    "POST" "/v1/clients/open" Some(Action::ClientManage), Some("OpenRegistration"), "RegistrationView", "Let clients register themselves for a while";
    "DELETE" "/v1/clients/{client}" Some(Action::ClientManage), None, "ClientView", "Remove a client that registered itself";
    "POST" "/v1/attesters" Some(Action::AttesterManage), Some("AddAttester"), "AttesterView", "Add somebody who vouches for running copies of clients";
    "GET" "/v1/attesters" Some(Action::AttesterRead), None, "AttesterPage", "List those who vouch for running copies of clients";
    "DELETE" "/v1/attesters/{attester}" Some(Action::AttesterManage), None, "AttesterView", "Remove somebody who vouches for running copies of clients";
    "POST" "/v1/issuers" Some(Action::IssuerManage), Some("AddIssuer"), "IssuerView", "Name an issuer whose workloads may act as agents";
    "GET" "/v1/issuers" Some(Action::IssuerRead), None, "IssuerPage", "List the issuers whose workloads may act as agents";
    "GET" "/v1/issuers/{issuer}" Some(Action::IssuerRead), None, "IssuerView", "Show an issuer";
    "DELETE" "/v1/issuers/{issuer}" Some(Action::IssuerManage), None, "IssuerView", "Remove an issuer, and every trust in its workloads";
    "GET" "/v1/log" Some(Action::LogRead), None, "LogView", "The state of the record";
    "GET" "/v1/events" Some(Action::LogRead), None, "EventPage", "Search the record";
    "GET" "/v1/receipts/{event}" Some(Action::LogRead), None, "Receipt", "A receipt for one event";
};

/// What a person does to their own ways of signing in, in a browser, by the cookie of a session.
pub const OWN: &[Route] = routes! {
    "GET" "/v1/passkeys" None, None, "PasskeyPage", "List one's passkeys";
    "POST" "/v1/passkeys/options" None, None, "EnrolmentOptions", "Begin to enrol a passkey";
    "POST" "/v1/passkeys" None, Some("EnrolPasskey"), "PasskeyView", "Enrol a passkey";
    "POST" "/v1/passkeys/{passkey}/rename" None, Some("RenamePasskey"), "PasskeyView", "Give a passkey another name";
    "POST" "/v1/passkeys/{passkey}/revoke" None, None, "PasskeyView", "End a passkey, and what it began";
    "GET" "/v1/recovery-codes" None, None, "RecoveryCodesLeft", "Count one's recovery codes";
    "POST" "/v1/recovery-codes" None, None, "RecoveryCodes", "Make ten recovery codes; those from before are void";
    "GET" "/v1/links" None, None, "LinkPage", "List by which providers one is known";
    "POST" "/v1/links" None, Some("LinkOwn"), "LinkStarted", "Begin to link oneself with a provider";
    "GET" "/v1/sessions" None, None, "SessionPage", "List one's sessions";
    "POST" "/v1/sessions/{session}/end" None, None, "SessionView", "End a session of one's own; `current` is the one that asks";
};

/// How a person signs in: what pages of our own may ask for anybody.
pub const OPEN: &[Route] = routes! {
    "POST" "/v1/enrolment/options" None, Some("OpenInvitation"), "EnrolmentOptions", "Begin to enrol a passkey by an invitation";
    "POST" "/v1/enrolment" None, Some("AcceptInvitation"), "WhoAmI", "Enrol a passkey by an invitation, and be signed in";
    "POST" "/v1/sign-in/options" None, None, "SignInOptions", "Begin to sign in by a passkey";
    "POST" "/v1/sign-in" None, Some("SignIn"), "WhoAmI", "Sign in by a passkey";
    "POST" "/v1/sign-in/recovery" None, Some("SignInByCode"), "WhoAmI", "Sign in by a recovery code, to enrol a passkey";
};
