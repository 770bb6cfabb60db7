//! The OpenAPI 3.1 document, made from the table of endpoints and the shapes.

use chancery_model::action::Action;
use chancery_model::client_authentication::ClientAuthenticationMetadata;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::page::Page;
use crate::routes::{OPEN, OWN, ROUTES, Route};
use crate::{
    agents, attesters, clients, grants, issuers, keys, log, mcp, owners, people, policies, problem,
    providers, resources, tokens,
};

/// The document that `/openapi.json` serves.
pub fn document(version: &str) -> Value {
    let mut paths = serde_json::Map::new();
    let by_login = json!([{"token": []}, {"session": []}]);
    let by_session = json!([{"session": []}]);
    for (routes, security) in [(ROUTES, by_login), (OWN, by_session), (OPEN, json!([]))] {
        for route in routes {
            let path = paths.entry(route.path).or_insert_with(|| json!({}));
            let mut operation = operation(route);
            operation["security"].clone_from(&security);
            path[route.method.to_lowercase()] = operation;
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Chancery",
            "version": version,
            "description": "The identity authority for AI agents.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": people::SESSION_COOKIE}
            }
        }
    })
}

fn operation(route: &Route) -> Value {
    let parameters: Vec<Value> = route
        .path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .chain(query_of(route))
        .collect();
    let mut operation = json!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": parameters,
        "responses": {
            "200": answer(route.answer, "application/json"),
            "default": answer("Problem", "application/problem+json")
        }
    });
    if let Some(request) = route.request {
        operation["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/{request}")}}}
        });
    }
    operation
}

fn query_of(route: &Route) -> Vec<Value> {
    let names: &[(&str, &str)] = match route.answer {
        "AgentPage" => &[
            ("status", "string"),
            ("after", "string"),
            ("limit", "integer"),
        ],
        "EventPage" => &[
            ("after", "integer"),
            ("limit", "integer"),
            ("kind", "string"),
            ("agent", "string"),
            ("newest", "boolean"),
        ],
        // Nobody has more of them than one page holds.
        "PasskeyPage" | "SessionPage" | "LinkPage" | "ProviderPage" => &[],
        "GrantPage" => &[
            ("owner", "string"),
            ("after", "string"),
            ("limit", "integer"),
        ],
        name if name.ends_with("Page") => &[("after", "string"), ("limit", "integer")],
        _ => &[],
    };
    let mut parameters: Vec<Value> = names
        .iter()
        .map(|(name, kind)| json!({"name": name, "in": "query", "schema": {"type": kind}}))
        .collect();
    let names_revision =
        route.request == Some("UpdateAgent") || route.action == Some(Action::AgentActivate);
    if names_revision {
        parameters.push(json!({"name": "If-Match", "in": "header", "required": true, "schema": {"type": "string"}}));
    }
    parameters
}

fn operation_id(route: &Route) -> String {
    let path = route
        .path
        .trim_start_matches("/v1/")
        .replace(['{', '}'], "")
        .replace('/', "_");
    format!("{}_{path}", route.method.to_lowercase())
}

fn answer(schema: &str, content_type: &str) -> Value {
    json!({
        "description": schema,
        "content": {content_type: {"schema": {"$ref": format!("#/components/schemas/{schema}")}}}
    })
}

fn schemas() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut named = serde_json::Map::new();
    macro_rules! name {
        ($($name:literal = $shape:ty),* $(,)?) => {$(
            let schema = generator.root_schema_for::<$shape>().to_value();
            named.insert($name.to_owned(), schema);
        )*};
    }
    name! {
        "RegisterAgent" = agents::RegisterAgent,
        "UpdateAgent" = agents::UpdateAgent,
        "ReplaceKeys" = agents::ReplaceKeys,
        "ClientAuthenticationMetadata" = ClientAuthenticationMetadata,
        "ReplaceRedirects" = agents::ReplaceRedirects,
        "Because" = agents::Because,
        "TransferAgent" = agents::TransferAgent,
        "AgentView" = agents::AgentView,
        "AgentPage" = Page<agents::AgentView>,
        "VersionPage" = Page<agents::VersionView>,
        "Stopped" = agents::Stopped,
        "AddOwner" = owners::AddOwner,
        "IssueLogin" = owners::IssueLogin,
        "Login" = owners::Login,
        "OwnerView" = owners::OwnerView,
        "OwnerPage" = Page<owners::OwnerView>,
        "WhoAmI" = owners::WhoAmI,
        "InvitePerson" = people::InvitePerson,
        "Invitation" = people::Invitation,
        "OpenInvitation" = people::OpenInvitation,
        "EnrolmentOptions" = people::EnrolmentOptions,
        "AcceptInvitation" = people::AcceptInvitation,
        "EnrolPasskey" = people::EnrolPasskey,
        "RenamePasskey" = people::RenamePasskey,
        "PasskeyView" = people::PasskeyView,
        "PasskeyPage" = Page<people::PasskeyView>,
        "SignInOptions" = people::SignInOptions,
        "SignIn" = people::SignIn,
        "SignInByCode" = people::SignInByCode,
        "RecoveryCodes" = people::RecoveryCodes,
        "RecoveryCodesLeft" = people::RecoveryCodesLeft,
        "SessionView" = people::SessionView,
        "SessionPage" = Page<people::SessionView>,
        "AddProvider" = providers::AddProvider,
        "ProviderView" = providers::ProviderView,
        "ProviderPage" = Page<providers::ProviderView>,
        "LinkPerson" = providers::LinkPerson,
        "LinkOwn" = providers::LinkOwn,
        "LinkStarted" = providers::LinkStarted,
        "LinkView" = providers::LinkView,
        "LinkPage" = Page<providers::LinkView>,
        "RegisterResource" = resources::RegisterResource,
        "ResourceView" = resources::ResourceView,
        "ResourcePage" = Page<resources::ResourceView>,
        "AddMcpServer" = mcp::AddMcpServer,
        "McpServerView" = mcp::McpServerView,
        "McpServerPage" = Page<mcp::McpServerView>,
        "PolicyText" = policies::PolicyText,
        "PolicyView" = policies::PolicyView,
        "PolicyPage" = Page<policies::PolicyView>,
        "CheckReport" = policies::CheckReport,
        "ExplainCall" = policies::ExplainCall,
        "KeyView" = keys::KeyView,
        "KeyPage" = Page<keys::KeyView>,
        "RotateKey" = keys::RotateKey,
        "RevokeToken" = tokens::RevokeToken,
        "GrantPage" = Page<grants::GrantView>,
        "AddAttester" = attesters::AddAttester,
        "AttesterView" = attesters::AttesterView,
        "AttesterPage" = Page<attesters::AttesterView>,
        "ClientView" = clients::ClientView,
        "ClientPage" = Page<clients::ClientView>,
        "OpenRegistration" = clients::OpenRegistration,
        "RegistrationView" = clients::RegistrationView,
        "AddIssuer" = issuers::AddIssuer,
        "IssuerView" = issuers::IssuerView,
        "IssuerPage" = Page<issuers::IssuerView>,
        "AddTrust" = issuers::AddTrust,
        "LogView" = log::LogView,
        "EventPage" = Page<log::LoggedEvent>,
        "Receipt" = log::Receipt,
        "Problem" = problem::Problem,
    }
    named.insert("Explanation".to_owned(), json!({"type": "object"}));
    named.insert(
        "SchemaText".to_owned(),
        json!({"type": "object", "properties": {"text": {"type": "string"}}}),
    );
    for schema in named.values_mut() {
        hoist(schema);
    }
    let shared = serde_json::to_value(generator.take_definitions(true)).unwrap_or_default();
    if let Value::Object(shared) = shared {
        for (name, schema) in shared {
            named.entry(name).or_insert(schema);
        }
    }
    Value::Object(named)
}

/// Drops what only a stand-alone schema has; shared definitions live under `components`.
fn hoist(schema: &mut Value) {
    if let Value::Object(members) = schema {
        members.remove("$schema");
        members.remove("$defs");
        members.remove("components");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_has_a_target_and_every_operation_its_own_id() {
        let document = document("0");
        let text = document.to_string();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().expect("a name");
            assert!(
                document["components"]["schemas"][name].is_object(),
                "no schema `{name}`"
            );
        }
        let mut ids: Vec<String> = ROUTES.iter().map(operation_id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), ROUTES.len());
    }
}
