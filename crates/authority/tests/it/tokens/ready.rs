//! Everything right for one grant, so that one thing can be broken.

use std::time::Duration;

use chancery_model::id::ClientId;
use chancery_wire::client_assertion::{self, ASSERTION_TYPE};
use chancery_wire::dpop;
use chancery_wire::jwk::PrivateKey;
use serde_json::{Value, json};

use super::matrix::{Grant, Rule};
use crate::clients::world::{LOCAL, World};
use crate::consent::device::GRANT_TYPE as DEVICE;
use crate::consent::flow::{BOB, Flow, R1, VERIFIER, furnished, put};
use crate::house::{ADMIN, House, ISSUER, Party, new_key};
use crate::request::{Answer, Ask, ask};
use crate::workloads::world::{GRANT_TYPE as WORKLOAD, Works, working};

const R2: &str = "https://r2.example";
const ALICE: &str = "alice@example.com";

/// Whose house it is.
enum Base {
    Agent(Box<Flow>),
    Public(Box<World>),
    Workload(Box<Works>),
}

/// A request that would get a token.
pub(crate) struct Ready {
    base: Base,
    grant: Grant,
    /// The agent that would act.
    agent: String,
    /// Another client, which may ask too.
    other: Party,
    /// Another public client.
    other_client: String,
    /// The key of a public client.
    own_key: PrivateKey,
    pairs: Vec<(String, String)>,
}

/// How the request is sent.
struct Sending<'a> {
    pairs: Vec<(String, String)>,
    /// Who authenticates; nobody when absent.
    by: Option<&'a Party>,
    /// The proof; none when absent.
    proof: Option<String>,
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

fn set(pairs: &mut Vec<(String, String)>, name: &str, value: &str) {
    pairs.retain(|(own, _)| own != name);
    if !value.is_empty() {
        pairs.push((name.to_owned(), value.to_owned()));
    }
}

/// Refunds of at most so many.
fn refunds(most: i64) -> String {
    let constraints = json!({"amount": {"at_most": most}});
    let detail = json!({"type": "tool_call", "identifier": "refund", "constraints": constraints});
    json!([detail]).to_string()
}

impl Ready {
    pub(crate) async fn for_grant(grant: Grant) -> Self {
        match grant {
            Grant::ClientCredentials | Grant::Code | Grant::Refresh | Grant::Device => {
                Self::of_agent(grant).await
            }
            Grant::CodeOfPublicClient | Grant::RefreshOfPublicClient => {
                Self::of_public_client(grant).await
            }
            Grant::Workload => Self::of_workload().await,
        }
    }

    async fn of_agent(grant: Grant) -> Self {
        let flow = furnished().await;
        flow.house.resource(R2).await;
        let other = flow.house.register("other-bot").await;
        let limited = |pairs: &mut crate::consent::flow::Pairs| {
            put(pairs, "authorization_details", &refunds(50));
        };
        let pairs = match grant {
            Grant::ClientCredentials => owned(&[
                ("grant_type", "client_credentials"),
                ("resource", R1),
                ("scope", "read write"),
            ]),
            Grant::Code => {
                let code = flow.code_with(limited).await;
                owned(&[
                    ("grant_type", "authorization_code"),
                    ("code", &code),
                    ("code_verifier", VERIFIER),
                ])
            }
            Grant::Refresh => {
                let code = flow.code_with(limited).await;
                let tokens = flow.redeem(&code).await.ok();
                let refresh = tokens["refresh_token"].as_str().expect("a token");
                owned(&[("grant_type", "refresh_token"), ("refresh_token", refresh)])
            }
            Grant::Device => {
                let device = flow.device_with(limited).await;
                assert_eq!(flow.answer(&device, "approve").await.status, 200);
                owned(&[("grant_type", DEVICE), ("device_code", &device.code)])
            }
            Grant::CodeOfPublicClient | Grant::RefreshOfPublicClient | Grant::Workload => {
                unreachable!("not of an agent that authenticates")
            }
        };
        Self {
            agent: flow.agent.id.clone(),
            own_key: new_key(),
            base: Base::Agent(Box::new(flow)),
            grant,
            other,
            other_client: String::new(),
            pairs,
        }
    }

    async fn of_public_client(grant: Grant) -> Self {
        let world = World::with(json!({})).await;
        // Its tokens are bound, as it says itself.
        let bound = |document: &mut Value| document["dpop_bound_access_tokens"] = json!(true);
        let client = world.app.put_client("/client.json", bound);
        let other_client = world.app.put_client("/other.json", bound);
        world.house.resource(R2).await;
        let agent = world.adopt(&world.alice, &client, &["add"]).await;
        let key = new_key();
        let jkt = key.public().thumbprint().to_owned();
        let query = world.query(&client, &[("dpop_jkt", &jkt)]);
        let code = world.code(&world.alice, &query, &["add"]).await;
        let pairs = owned(&[
            ("grant_type", "authorization_code"),
            ("client_id", &client),
            ("code", &code),
            ("code_verifier", crate::clients::world::VERIFIER),
        ]);
        let other = world.house.register("other-bot").await;
        let mut ready = Self {
            agent,
            own_key: key,
            base: Base::Public(Box::new(world)),
            grant,
            other,
            other_client,
            pairs,
        };
        if grant == Grant::RefreshOfPublicClient {
            let tokens = ready.right().await.ok();
            let refresh = tokens["refresh_token"].as_str().expect("a token");
            ready.pairs = owned(&[
                ("grant_type", "refresh_token"),
                ("client_id", &client),
                ("refresh_token", refresh),
            ]);
        }
        ready
    }

    async fn of_workload() -> Self {
        let works = working().await;
        works.house.resource(R2).await;
        let other = works.house.register("other-bot").await;
        let pairs = owned(&[
            ("grant_type", WORKLOAD),
            ("client_id", &works.agent.id),
            ("assertion", &works.assertion(json!({}))),
            ("resource", crate::workloads::world::R1),
        ]);
        Self {
            agent: works.agent.id.clone(),
            own_key: new_key(),
            base: Base::Workload(Box::new(works)),
            grant: Grant::Workload,
            other,
            other_client: String::new(),
            pairs,
        }
    }

    pub(crate) fn house(&self) -> &House {
        match &self.base {
            Base::Agent(flow) => &flow.house,
            Base::Public(world) => &world.house,
            Base::Workload(works) => &works.house,
        }
    }

    fn issuer(&self) -> &'static str {
        match &self.base {
            Base::Agent(_) => ISSUER,
            Base::Public(_) | Base::Workload(_) => LOCAL,
        }
    }

    /// Who authenticates when all is right.
    fn authenticates(&self) -> Option<&Party> {
        match &self.base {
            Base::Agent(flow) => Some(&flow.agent),
            Base::Public(_) | Base::Workload(_) => None,
        }
    }

    /// The key that the token would be bound to.
    fn key(&self) -> &PrivateKey {
        match &self.base {
            Base::Agent(flow) => &flow.agent.key,
            Base::Public(_) => &self.own_key,
            Base::Workload(works) => &works.job,
        }
    }

    fn assertion(&self, party: &Party) -> String {
        let id: ClientId = party.id.parse().expect("a client");
        let house = self.house();
        let (fresh, now) = (house.fresh(), house.now());
        client_assertion::sign(id, self.issuer(), &fresh, now, &party.key)
    }

    fn proof_without_nonce(&self, key: &PrivateKey, nonce: Option<&str>) -> String {
        let house = self.house();
        let (jti, url) = (house.fresh(), format!("{}/oauth/token", self.issuer()));
        let request = dpop::Request {
            method: "POST",
            url: &url,
            jti: &jti,
            now: house.now(),
            nonce,
            access_token: None,
        };
        dpop::proof(key, &request)
    }

    /// A proof with a nonce that the endpoint gave just now.
    async fn proof(&self, key: &PrivateKey) -> String {
        let bare = self.proof_without_nonce(key, None);
        // Asked for by somebody else, so that nothing of the request is looked at before.
        let pairs = owned(&[("grant_type", "client_credentials"), ("resource", R2)]);
        let form = self.form(&pairs, Some(&self.other));
        let answer = self.house().send(form.header("dpop", bare)).await;
        answer.oauth_error(400, "use_dpop_nonce");
        self.proof_without_nonce(key, Some(answer.header("dpop-nonce")))
    }

    fn form(&self, pairs: &[(String, String)], by: Option<&Party>) -> Ask {
        let mut pairs = pairs.to_vec();
        if let Some(party) = by {
            set(&mut pairs, "client_assertion_type", ASSERTION_TYPE);
            if !pairs.iter().any(|(name, _)| name == "client_assertion") {
                let assertion = self.assertion(party);
                set(&mut pairs, "client_assertion", &assertion);
            }
        }
        let pairs: Vec<(&str, &str)> = pairs
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        ask("POST", "/oauth/token").form(&pairs)
    }

    async fn send(&self, sending: Sending<'_>) -> Answer {
        let form = self.form(&sending.pairs, sending.by);
        let form = match sending.proof {
            Some(proof) => form.header("dpop", proof),
            None => form,
        };
        self.house().send(form).await
    }

    /// The request as it should be.
    pub(crate) async fn right(&self) -> Answer {
        let proof = Some(self.proof(self.key()).await);
        let pairs = self.pairs.clone();
        let by = self.authenticates();
        self.send(Sending { pairs, by, proof }).await
    }

    /// The request with other parameters; an empty one is left out.
    async fn with(&self, changes: &[(&str, &str)]) -> Answer {
        let proof = Some(self.proof(self.key()).await);
        let mut pairs = self.pairs.clone();
        for (name, value) in changes {
            set(&mut pairs, name, value);
        }
        let by = self.authenticates();
        self.send(Sending { pairs, by, proof }).await
    }

    async fn admin(&self, path: &str) {
        let body = json!({"reason": "a test"});
        self.house().admin("POST", path, body).await.ok();
    }

    /// Breaks one thing, and asks.
    pub(crate) async fn broken(&self, rule: Rule) -> Answer {
        let id = &self.agent;
        match rule {
            Rule::AgentSuspended => self.admin(&format!("/v1/agents/{id}/suspend")).await,
            Rule::AgentRetired => self.admin(&format!("/v1/agents/{id}/retire")).await,
            Rule::OwnerLeft => self.admin(&format!("/v1/owners/{ALICE}/disable")).await,
            Rule::PersonLeft => {
                let person = match &self.base {
                    Base::Agent(_) => BOB,
                    Base::Public(_) | Base::Workload(_) => ALICE,
                };
                self.admin(&format!("/v1/owners/{person}/disable")).await;
            }
            Rule::GrantTakenBack => self.take_back().await,
            Rule::VersionWider => self.widen().await,
            Rule::PolicyForbids => {
                let text = "@id(\"never\") forbid (principal, action == Chancery::Action::\"issue_token\", resource);";
                let body = json!({"text": text});
                let put = self.house().admin("PUT", "/v1/policies/never", body);
                put.await.ok();
            }
            Rule::OtherResource => return self.with(&[("resource", R2)]).await,
            Rule::UnknownResource => {
                return self.with(&[("resource", "https://nowhere.example")]).await;
            }
            Rule::NoProof => {
                let (pairs, by) = (self.pairs.clone(), self.authenticates());
                let proof = None;
                return self.send(Sending { pairs, by, proof }).await;
            }
            Rule::OtherKey => {
                if self.grant == Grant::Workload {
                    self.right().await.ok();
                }
                let proof = Some(self.proof(&new_key()).await);
                let (pairs, by) = (self.pairs.clone(), self.authenticates());
                return self.send(Sending { pairs, by, proof }).await;
            }
            Rule::ProofTwice => {
                let proof = self.proof(self.key()).await;
                self.spend(&proof).await;
                let (pairs, by) = (self.pairs.clone(), self.authenticates());
                let proof = Some(proof);
                return self.send(Sending { pairs, by, proof }).await;
            }
            Rule::ScopeWider => return self.with(&[("scope", "admin")]).await,
            Rule::DetailsWider => {
                return self.with(&[("authorization_details", &refunds(51))]).await;
            }
            Rule::NoAuthentication if self.grant == Grant::Workload => {
                return self.with(&[("assertion", "")]).await;
            }
            Rule::NoAuthentication => {
                let proof = Some(self.proof(self.key()).await);
                let pairs = self.pairs.clone();
                return self
                    .send(Sending {
                        pairs,
                        by: None,
                        proof,
                    })
                    .await;
            }
            Rule::OtherClient => return self.of_other_client().await,
            Rule::TwiceUsed => return self.twice().await,
            Rule::TooLate => return self.too_late().await,
        }
        self.right().await
    }

    async fn take_back(&self) {
        let grants = self.house().get("/v1/grants").await;
        let grants = grants["items"].as_array().expect("a list");
        let in_force = grants.iter().filter(|grant| grant["status"] == "in_force");
        for grant in in_force {
            let id = grant["id"].as_str().expect("an id");
            self.admin(&format!("/v1/grants/{id}/revoke")).await;
        }
    }

    /// A version that may do more than what was consented to comes into force.
    async fn widen(&self) {
        match &self.base {
            Base::Agent(flow) => {
                let view = flow.house.get("/v1/agents/refund-bot").await;
                let tools = json!([{"server": "desk", "tool": "*"}]);
                let document = json!({"name": "refund-bot", "owner": ALICE, "tools": tools});
                let update = ask("PUT", "/v1/agents/refund-bot").bearer(ADMIN);
                let update = update.header("if-match", view["revision"].to_string());
                let body = json!({"document": document});
                flow.house.send(update.json(&body)).await.ok();
                flow.accept_as_second_person().await;
            }
            Base::Public(world) => {
                let client = self.pairs.iter().find(|(name, _)| name == "client_id");
                let (_, client) = client.expect("a client");
                let jkt = self.own_key.public().thumbprint();
                let query = world.query(client, &[("dpop_jkt", jkt)]);
                let waits = world.consent(&world.alice, &query, &["add", "sub"]).await;
                assert!(waits.text().contains("A second person"), "{waits:?}");
                let path = format!("/v1/agents/{}", self.agent);
                let view = self.house().get(&path).await;
                let number = view["pending_version"].as_i64().expect("a version");
                self.admin(&format!("{path}/versions/{number}/accept"))
                    .await;
            }
            Base::Workload(_) => unreachable!("it acts for itself"),
        }
    }

    /// Uses a proof up for something else.
    async fn spend(&self, proof: &str) {
        let pairs = owned(&[("grant_type", "client_credentials"), ("resource", R2)]);
        let sending = Sending {
            pairs,
            by: Some(&self.other),
            proof: Some(proof.to_owned()),
        };
        self.send(sending).await.ok();
    }

    async fn of_other_client(&self) -> Answer {
        match (&self.base, self.grant) {
            (Base::Agent(_), Grant::ClientCredentials) => {
                let proof = Some(self.proof(self.key()).await);
                let mut pairs = self.pairs.clone();
                set(&mut pairs, "client_id", &self.agent);
                let by = Some(&self.other);
                self.send(Sending { pairs, by, proof }).await
            }
            (Base::Agent(_), _) => {
                let proof = Some(self.proof(self.key()).await);
                let (pairs, by) = (self.pairs.clone(), Some(&self.other));
                self.send(Sending { pairs, by, proof }).await
            }
            (Base::Public(_), _) => self.with(&[("client_id", &self.other_client)]).await,
            (Base::Workload(_), _) => self.with(&[("client_id", &self.other.id)]).await,
        }
    }

    async fn twice(&self) -> Answer {
        let assertion = self.authenticates().map(|agent| self.assertion(agent));
        let changes = match (self.grant, &assertion) {
            (Grant::ClientCredentials, Some(assertion)) => vec![("client_assertion", &**assertion)],
            _ => Vec::new(),
        };
        self.with(&changes).await.ok();
        self.with(&changes).await
    }

    async fn too_late(&self) -> Answer {
        let assertion = self.authenticates().map(|agent| self.assertion(agent));
        let seconds = match self.grant {
            Grant::ClientCredentials => 120,
            Grant::Code | Grant::CodeOfPublicClient => 61,
            Grant::Refresh | Grant::RefreshOfPublicClient => 8 * 3_600 + 1,
            Grant::Device => 601,
            Grant::Workload => 400,
        };
        let changes = match (self.grant, &assertion) {
            (Grant::ClientCredentials, Some(assertion)) => vec![("client_assertion", &**assertion)],
            _ => Vec::new(),
        };
        self.house().advance(Duration::from_secs(seconds)).await;
        self.with(&changes).await
    }
}
