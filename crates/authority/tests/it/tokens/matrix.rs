//! Every rule at every grant: whatever gives tokens passes the same checks, and each of them is seen to refuse.
//!
//! A cell makes everything right for one grant, breaks one thing, and asks. A cell without a test says why there is
//! nothing to break. The table in `docs/rules.md` is written from this file and held against it, and the grants from the metadata.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::ready::Ready;
use crate::house::House;
use crate::request::ask;

/// What gives tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    ClientCredentials,
    Code,
    CodeOfPublicClient,
    Refresh,
    RefreshOfPublicClient,
    Device,
    Workload,
}

impl Grant {
    const ALL: [Self; 7] = [
        Self::ClientCredentials,
        Self::Code,
        Self::CodeOfPublicClient,
        Self::Refresh,
        Self::RefreshOfPublicClient,
        Self::Device,
        Self::Workload,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::ClientCredentials => "`client_credentials`",
            Self::Code => "`authorization_code`",
            Self::CodeOfPublicClient => "`authorization_code`, public client",
            Self::Refresh => "`refresh_token`",
            Self::RefreshOfPublicClient => "`refresh_token`, public client",
            Self::Device => "`device_code`",
            Self::Workload => "`jwt-bearer`, workload",
        }
    }

    /// As the metadata name it.
    fn grant_type(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::Code | Self::CodeOfPublicClient => "authorization_code",
            Self::Refresh | Self::RefreshOfPublicClient => "refresh_token",
            Self::Device => "urn:ietf:params:oauth:grant-type:device_code",
            Self::Workload => "urn:ietf:params:oauth:grant-type:jwt-bearer",
        }
    }

    pub(crate) fn is_of_public_client(self) -> bool {
        matches!(self, Self::CodeOfPublicClient | Self::RefreshOfPublicClient)
    }

    fn is_renewal(self) -> bool {
        matches!(self, Self::Refresh | Self::RefreshOfPublicClient)
    }

    /// Whether a person stands behind the token.
    pub(crate) fn is_delegated(self) -> bool {
        !matches!(self, Self::ClientCredentials | Self::Workload)
    }
}

/// What may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    AgentSuspended,
    AgentRetired,
    OwnerLeft,
    PersonLeft,
    GrantTakenBack,
    VersionWider,
    PolicyForbids,
    OtherResource,
    UnknownResource,
    NoProof,
    OtherKey,
    ProofTwice,
    ScopeWider,
    DetailsWider,
    NoAuthentication,
    OtherClient,
    TwiceUsed,
    TooLate,
}

impl Rule {
    const ALL: [Self; 18] = [
        Self::AgentSuspended,
        Self::AgentRetired,
        Self::OwnerLeft,
        Self::PersonLeft,
        Self::GrantTakenBack,
        Self::VersionWider,
        Self::PolicyForbids,
        Self::OtherResource,
        Self::UnknownResource,
        Self::NoProof,
        Self::OtherKey,
        Self::ProofTwice,
        Self::ScopeWider,
        Self::DetailsWider,
        Self::NoAuthentication,
        Self::OtherClient,
        Self::TwiceUsed,
        Self::TooLate,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::AgentSuspended => "the agent is suspended",
            Self::AgentRetired => "the agent is retired",
            Self::OwnerLeft => "nobody answers for the agent any more",
            Self::PersonLeft => "the person has left",
            Self::GrantTakenBack => "the person took the grant back",
            Self::VersionWider => "the agent is wider than what was consented to",
            Self::PolicyForbids => "policy forbids the token",
            Self::OtherResource => "the token is asked for another resource",
            Self::UnknownResource => "the resource is not registered",
            Self::NoProof => "no key is proven (DPoP)",
            Self::OtherKey => "another key is proven",
            Self::ProofTwice => "the proof comes a second time",
            Self::ScopeWider => "more scope is asked for",
            Self::DetailsWider => "more calls are asked for (RFC 9396)",
            Self::NoAuthentication => "the client does not authenticate",
            Self::OtherClient => "what is presented is another client's",
            Self::TwiceUsed => "what is presented was used before",
            Self::TooLate => "what is presented is too old",
        }
    }
}

/// What is seen in a cell.
enum Cell {
    /// Refused with this error.
    Refused(&'static str),
    /// There is nothing to break.
    Nothing(&'static str),
}

fn cell(grant: Grant, rule: Rule) -> Cell {
    use Cell::{Nothing, Refused};
    let is_own = !grant.is_delegated();
    let is_public = grant.is_of_public_client();
    // A client that did not authenticate is not told that this failed.
    let client = match is_public {
        true => Refused("invalid_grant"),
        false => Refused("invalid_client"),
    };
    match rule {
        Rule::AgentRetired if grant == Grant::Workload => Refused("invalid_grant"),
        Rule::AgentSuspended | Rule::AgentRetired | Rule::OwnerLeft | Rule::ProofTwice
            if grant != Grant::Workload || rule != Rule::ProofTwice =>
        {
            client
        }
        Rule::AgentSuspended | Rule::AgentRetired | Rule::OwnerLeft | Rule::ProofTwice => {
            Refused("invalid_grant")
        }
        Rule::PersonLeft | Rule::GrantTakenBack if is_own => Nothing("it acts for itself"),
        Rule::PersonLeft | Rule::GrantTakenBack => Refused("invalid_grant"),
        Rule::VersionWider if is_own => Nothing("its version in force is what it is"),
        Rule::VersionWider => Refused("invalid_grant"),
        // Whether there is a scope to change.
        Rule::PolicyForbids if is_public || grant == Grant::Workload => Refused("access_denied"),
        Rule::PolicyForbids => Refused("invalid_scope"),
        Rule::OtherResource if is_own => Nothing("policy judges which it may ask for"),
        Rule::OtherResource | Rule::UnknownResource => Refused("invalid_target"),
        Rule::NoProof
            if matches!(
                grant,
                Grant::Code | Grant::CodeOfPublicClient | Grant::Device
            ) =>
        {
            Refused("invalid_grant")
        }
        Rule::NoProof => Refused("invalid_dpop_proof"),
        Rule::OtherKey if grant == Grant::ClientCredentials => Nothing("it chooses the key"),
        Rule::OtherKey => Refused("invalid_grant"),
        Rule::ScopeWider if is_own => Nothing("policy judges what it asks for"),
        Rule::ScopeWider if !grant.is_renewal() => Nothing("the request names no scope"),
        Rule::ScopeWider => Refused("invalid_scope"),
        Rule::DetailsWider if is_own => Nothing("it only limits itself"),
        Rule::DetailsWider if is_public => Nothing("its person chose its tools"),
        Rule::DetailsWider => Refused("invalid_authorization_details"),
        Rule::NoAuthentication if is_public => Nothing("it has nothing to authenticate with"),
        Rule::NoAuthentication if grant == Grant::Workload => Refused("invalid_request"),
        Rule::NoAuthentication => Refused("invalid_client"),
        Rule::TwiceUsed if grant == Grant::Refresh => {
            Nothing("it is bound to client and key, and is not rotated")
        }
        Rule::TwiceUsed if grant == Grant::Workload => {
            Nothing("it is bound to the key that it came with first")
        }
        Rule::TooLate if grant == Grant::Device => Refused("expired_token"),
        Rule::OtherClient | Rule::TwiceUsed | Rule::TooLate
            if grant == Grant::ClientCredentials =>
        {
            Refused("invalid_client")
        }
        Rule::OtherClient | Rule::TwiceUsed | Rule::TooLate => Refused("invalid_grant"),
    }
}

/// Tries one cell, and its legitimate twin.
async fn try_cell(grant: Grant, rule: Rule) {
    let Cell::Refused(error) = cell(grant, rule) else {
        panic!("there is nothing to break");
    };
    let twin = Ready::for_grant(grant).await;
    let given = twin.right().await.ok();
    assert!(given["access_token"].is_string(), "{given}");
    let ready = Ready::for_grant(grant).await;
    let answer = ready.broken(rule).await;
    let told = answer.json();
    assert!(
        (400..500).contains(&answer.status.as_u16()) && told["error"] == error,
        "{grant:?} {rule:?}: {answer:?}"
    );
    assert!(told.get("access_token").is_none());
    let refused = ready.house().last_event("token.refused").await;
    assert_eq!(refused["facts"]["error"], error, "{grant:?} {rule:?}");
}

macro_rules! cells {
    ($($grant_name:ident: $grant:ident { $($name:ident: $rule:ident),* $(,)? })*) => {
        $(mod $grant_name {
            $(#[tokio::test]
            async fn $name() {
                super::try_cell(super::Grant::$grant, super::Rule::$rule).await;
            })*
        })*

        /// The cells that have a test.
        const TESTED: &[(Grant, Rule)] = &[$($((Grant::$grant, Rule::$rule)),*),*];
    };
}

cells! {
    client_credentials: ClientCredentials {
        agent_suspended: AgentSuspended,
        agent_retired: AgentRetired,
        owner_left: OwnerLeft,
        policy_forbids: PolicyForbids,
        unknown_resource: UnknownResource,
        no_proof: NoProof,
        proof_twice: ProofTwice,
        no_authentication: NoAuthentication,
        other_client: OtherClient,
        twice_used: TwiceUsed,
        too_late: TooLate,
    }
    code: Code {
        agent_suspended: AgentSuspended,
        agent_retired: AgentRetired,
        owner_left: OwnerLeft,
        person_left: PersonLeft,
        grant_taken_back: GrantTakenBack,
        version_wider: VersionWider,
        policy_forbids: PolicyForbids,
        other_resource: OtherResource,
        unknown_resource: UnknownResource,
        no_proof: NoProof,
        other_key: OtherKey,
        proof_twice: ProofTwice,
        details_wider: DetailsWider,
        no_authentication: NoAuthentication,
        other_client: OtherClient,
        twice_used: TwiceUsed,
        too_late: TooLate,
    }
    code_of_public_client: CodeOfPublicClient {
        agent_suspended: AgentSuspended,
        agent_retired: AgentRetired,
        owner_left: OwnerLeft,
        person_left: PersonLeft,
        grant_taken_back: GrantTakenBack,
        version_wider: VersionWider,
        policy_forbids: PolicyForbids,
        other_resource: OtherResource,
        unknown_resource: UnknownResource,
        no_proof: NoProof,
        other_key: OtherKey,
        proof_twice: ProofTwice,
        other_client: OtherClient,
        twice_used: TwiceUsed,
        too_late: TooLate,
    }
    refresh: Refresh {
        agent_suspended: AgentSuspended,
        agent_retired: AgentRetired,
        owner_left: OwnerLeft,
        person_left: PersonLeft,
        grant_taken_back: GrantTakenBack,
        version_wider: VersionWider,
        policy_forbids: PolicyForbids,
        other_resource: OtherResource,
        unknown_resource: UnknownResource,
        no_proof: NoProof,
        other_key: OtherKey,
        proof_twice: ProofTwice,
        scope_wider: ScopeWider,
        details_wider: DetailsWider,
        no_authentication: NoAuthentication,
        other_client: OtherClient,
        too_late: TooLate,
    }
    refresh_of_public_client: RefreshOfPublicClient {
        agent_suspended: AgentSuspended,
        agent_retired: AgentRetired,
        owner_left: OwnerLeft,
        person_left: PersonLeft,
        grant_taken_back: GrantTakenBack,
        version_wider: VersionWider,
        policy_forbids: PolicyForbids,
        other_resource: OtherResource,
        unknown_resource: UnknownResource,
        no_proof: NoProof,
        other_key: OtherKey,
        proof_twice: ProofTwice,
        scope_wider: ScopeWider,
        other_client: OtherClient,
        twice_used: TwiceUsed,
        too_late: TooLate,
    }
    device: Device {
        agent_suspended: AgentSuspended,
        agent_retired: AgentRetired,
        owner_left: OwnerLeft,
        person_left: PersonLeft,
        grant_taken_back: GrantTakenBack,
        version_wider: VersionWider,
        policy_forbids: PolicyForbids,
        other_resource: OtherResource,
        unknown_resource: UnknownResource,
        no_proof: NoProof,
        other_key: OtherKey,
        proof_twice: ProofTwice,
        details_wider: DetailsWider,
        no_authentication: NoAuthentication,
        other_client: OtherClient,
        twice_used: TwiceUsed,
        too_late: TooLate,
    }
    workload: Workload {
        agent_suspended: AgentSuspended,
        agent_retired: AgentRetired,
        owner_left: OwnerLeft,
        policy_forbids: PolicyForbids,
        unknown_resource: UnknownResource,
        no_proof: NoProof,
        other_key: OtherKey,
        proof_twice: ProofTwice,
        no_authentication: NoAuthentication,
        other_client: OtherClient,
        too_late: TooLate,
    }
}

#[test]
fn every_cell_has_its_test_or_says_why_there_is_nothing_to_break() {
    for grant in Grant::ALL {
        for rule in Rule::ALL {
            let is_tested = TESTED.contains(&(grant, rule));
            let is_breakable = matches!(cell(grant, rule), Cell::Refused(_));
            assert_eq!(is_tested, is_breakable, "{grant:?} {rule:?}");
        }
    }
}

#[tokio::test]
async fn every_grant_of_the_metadata_has_its_row() {
    let house = House::found().await;
    let path = "/.well-known/oauth-authorization-server";
    let metadata = house.send(ask("GET", path)).await.ok();
    let offered = metadata["grant_types_supported"]
        .as_array()
        .expect("a list");
    let offered: BTreeSet<&str> = offered.iter().filter_map(Value::as_str).collect();
    let rows: BTreeSet<&str> = Grant::ALL.into_iter().map(Grant::grant_type).collect();
    assert_eq!(offered, rows);
}

/// The table of `docs/rules.md`.
fn table() -> String {
    let mut text = String::from(HEAD);
    text.push_str("\n| when |");
    for grant in Grant::ALL {
        let _ = write!(text, " {} |", grant.title());
    }
    text.push_str("\n| --- |");
    text.push_str(&" --- |".repeat(Grant::ALL.len()));
    for rule in Rule::ALL {
        let _ = write!(text, "\n| {} |", rule.title());
        for grant in Grant::ALL {
            let says = match cell(grant, rule) {
                Cell::Refused(error) => format!("`{error}`"),
                Cell::Nothing(why) => format!("— {why}"),
            };
            let _ = write!(text, " {says} |");
        }
    }
    text.push('\n');
    text
}

const HEAD: &str = "# Every rule at every grant

Whatever gives tokens passes the same checks. Each cell is what a client is told when one thing is wrong and all else is right;
each has a test of its own, with a twin in which nothing is wrong and a token is given. A dash says why there is nothing to break.
Each refusal is in the record as `token.refused` with its reason.

This page is written by the tests (`CHANCERY_WRITE_REFERENCE=1 cargo test -p chancery-authority --test it matrix`).
";

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "whoever changes the rules asks for the page to be written"
)]
fn page_of_rules_is_this_table() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rules.md");
    if std::env::var_os("CHANCERY_WRITE_REFERENCE").is_some() {
        std::fs::write(page, table()).expect("written");
    }
    let found = std::fs::read_to_string(page).expect("the page");
    assert!(found == table(), "docs/rules.md is not what the tests say");
}
