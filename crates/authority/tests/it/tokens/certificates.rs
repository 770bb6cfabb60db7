//! Clients that are known by the certificate of their connection (RFC 8705), and tokens that are bound to one.

use chancery_wire::certificate::trust::ClientTrust;
use chancery_wire::certificate::{PeerCertificate, public_key};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use serde_json::{Value, json};

use crate::consent::flow::{Flow, R1, VERIFIER, field, furnished, landed};
use crate::house::{House, ISSUER, Party, claims, jwks, new_key};
use crate::request::{Answer, Ask, ask};

pub(crate) const BOT: &str = "spiffe://acme.example/refund-bot";

/// An authority for certificates, which the house believes once it was told to.
pub(crate) struct Root {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Root {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = params("Acme");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    pub(crate) fn believed_by(house: &House) -> Self {
        let root = Self::new();
        root.is_believed_by(house, None);
        root
    }

    fn is_believed_by(&self, house: &House, lists: Option<&str>) {
        let lists = lists.map(str::as_bytes);
        let trust = ClientTrust::of_pem(self.pem.as_bytes(), lists).expect("a root");
        house.authority.trust_clients_of(trust);
    }

    /// A connection of the client with this URI in its certificate.
    pub(crate) fn connection(&self, uri: &str, serial: u64) -> PeerCertificate {
        let key = KeyPair::generate().expect("a key");
        let mut params = params("a client");
        params.serial_number = Some(SerialNumber::from(serial));
        params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("ASCII"))];
        let certificate = params.signed_by(&key, &self.issuer);
        let certificate = certificate.expect("a certificate").der().to_vec();
        PeerCertificate::of_handshake([certificate]).expect("a certificate")
    }

    fn revokes(&self, serial: u64, until: i32) -> String {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2026, 6, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("a list");
        list.pem().expect("PEM")
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2028, 1, 1);
    params
}

/// A connection with a certificate that a client made for itself, and the keys that it registers.
fn own_connection() -> (PeerCertificate, Value) {
    let key = KeyPair::generate().expect("a key");
    let certificate = params("a client").self_signed(&key).expect("a certificate");
    let jwk = public_key(certificate.der()).expect("a key").to_jwk();
    let der = certificate.der().to_vec();
    let peer = PeerCertificate::of_handshake([der]).expect("a certificate");
    (peer, json!({"keys": [jwk]}))
}

pub(crate) fn by_uri(uri: &str) -> Value {
    json!({
        "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_uri": uri,
        "tls_client_certificate_bound_access_tokens": true,
    })
}

fn by_own() -> Value {
    json!({
        "token_endpoint_auth_method": "self_signed_tls_client_auth",
        "tls_client_certificate_bound_access_tokens": true,
    })
}

/// An active agent that authenticates in this way; its id.
async fn agent(house: &House, name: &str, keys: Option<Value>, authentication: Value) -> String {
    let mut body = json!({
        "document": {"name": name, "owner": "alice@example.com"},
        "authentication": authentication,
    });
    if let Some(keys) = keys {
        body["jwks"] = keys;
    }
    let view = house.admin("POST", "/v1/agents", body).await.ok();
    view["id"].as_str().expect("an id").to_owned()
}

/// A request for a token by whoever the connection says.
fn token_of(client: &str, resource: &str) -> Ask {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client),
        ("resource", resource),
    ];
    ask("POST", "/oauth/token").form(&form)
}

async fn refused_because(house: &House) -> String {
    let event = house.last_event("token.refused").await;
    event["outcome"].as_str().expect("a reason").to_owned()
}

#[tokio::test]
async fn agent_with_a_certificate_gets_a_token_that_is_bound_to_it() {
    let house = House::found().await;
    let root = Root::believed_by(&house);
    let server = house.resource(R1).await;
    let (own, keys) = own_connection();
    let issued = root.connection(BOT, 1);
    let by_authority = agent(&house, "refund-bot", None, by_uri(BOT)).await;
    let by_itself = agent(&house, "own-bot", Some(keys), by_own()).await;
    for (id, peer) in [(&by_authority, &issued), (&by_itself, &own)] {
        let answer = house.send(token_of(id, R1).over(peer)).await.ok();
        assert_eq!(answer["token_type"], "Bearer");
        let token = answer["access_token"].as_str().expect("a token");
        let bound = json!({"x5t#S256": peer.thumbprint()});
        assert_eq!(claims(token)["cnf"], bound);
        assert_eq!(claims(token)["client_id"], *id);
        let told = house.introspect(&server, token).await.ok();
        assert_eq!(told["active"], true);
        assert_eq!(told["token_type"], "Bearer");
        assert_eq!(told["cnf"], bound);
        let event = house.last_event("token.issued").await;
        assert_eq!(event["token"]["x5t"], peer.thumbprint());
        assert_eq!(event["token"].get("jkt"), None);
        assert_eq!(event["actor"], json!({"id": id, "kind": "agent"}));
    }
    let metadata = house.get("/.well-known/oauth-authorization-server").await;
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
    for endpoint in ["token", "introspection", "revocation"] {
        let methods = &metadata[format!("{endpoint}_endpoint_auth_methods_supported")];
        let has = |name| methods.as_array().expect("a list").contains(&json!(name));
        assert!(has("tls_client_auth") && has("self_signed_tls_client_auth"));
    }
}

#[tokio::test]
async fn token_that_is_bound_to_a_key_too_says_so_and_one_that_is_bound_to_nothing_is_not_made() {
    let house = House::found().await;
    let root = Root::believed_by(&house);
    house.resource(R1).await;
    let peer = root.connection(BOT, 1);
    let both = agent(&house, "both-bot", None, by_uri(BOT)).await;
    let key = new_key();
    let party = Party { id: both, key };
    let nonce = house.nonce(&house.register("another-bot").await).await;
    let with_proof = token_of(&party.id, R1).header("dpop", house.proof(&party.key, &nonce));
    let answer = house.send(with_proof.over(&peer)).await.ok();
    assert_eq!(answer["token_type"], "DPoP");
    let token = answer["access_token"].as_str().expect("a token");
    let bound = json!({"jkt": party.key.public().thumbprint(), "x5t#S256": peer.thumbprint()});
    assert_eq!(claims(token)["cnf"], bound);
    // Authenticating by a certificate binds nothing by itself, and a proof is asked for as of everybody.
    let mut unbound = by_uri("spiffe://acme.example/unbound");
    unbound["tls_client_certificate_bound_access_tokens"] = json!(false);
    let unbound = agent(&house, "unbound-bot", None, unbound).await;
    let peer = root.connection("spiffe://acme.example/unbound", 2);
    let bare = house.send(token_of(&unbound, R1).over(&peer)).await;
    bare.oauth_error(400, "invalid_dpop_proof");
    let with_proof = token_of(&unbound, R1).header("dpop", house.proof(&party.key, &nonce));
    let answer = house.send(with_proof.over(&peer)).await.ok();
    let token = answer["access_token"].as_str().expect("a token");
    let bound = json!({"jkt": party.key.public().thumbprint()});
    assert_eq!(claims(token)["cnf"], bound);
    // Who signs assertions may have its tokens bound to whatever certificate it comes with, and needs one then.
    let keyed = house.register("keyed-bot").await;
    let body = json!({
        "token_endpoint_auth_method": "private_key_jwt",
        "tls_client_certificate_bound_access_tokens": true,
    });
    let path = "/v1/agents/keyed-bot/authentication";
    house.admin("PUT", path, body).await.ok();
    let (own, _) = own_connection();
    let over = house.token_request(&keyed, R1, "").over(&own);
    let answer = house.send(over).await.ok();
    let token = answer["access_token"].as_str().expect("a token");
    assert_eq!(claims(token)["cnf"], json!({"x5t#S256": own.thumbprint()}));
    let bare = house.send(house.token_request(&keyed, R1, "")).await;
    bare.oauth_error(401, "invalid_client");
    assert_eq!(refused_because(&house).await, "certificate_missing");
}

/// A client that is registered for one way never passes by another, whatever else is right.
#[tokio::test]
async fn tok_08_who_is_registered_for_one_method_never_passes_by_another() {
    let house = House::found().await;
    let root = Root::believed_by(&house);
    house.resource(R1).await;
    let (own, own_keys) = own_connection();
    let (issued, another) = (root.connection(BOT, 1), root.connection("spiffe://a/b", 2));
    let key = new_key();
    let named = agent(&house, "named-bot", Some(jwks(&key)), by_uri(BOT)).await;
    let self_signed = agent(&house, "own-bot", Some(own_keys.clone()), by_own()).await;
    let keyed = json!({"token_endpoint_auth_method": "private_key_jwt"});
    let keyed = agent(&house, "keyed-bot", Some(own_keys), keyed).await;
    let unregistered = agent(&house, "bare-bot", None, by_own()).await;
    let refused = async |ask: Ask, why: &str| {
        house.send(ask).await.oauth_error(401, "invalid_client");
        assert_eq!(refused_because(&house).await, why);
    };
    let party = Party {
        id: named.clone(),
        key,
    };
    // Its key is registered, and its assertion perfect; with its certificate on the connection as well.
    let with_assertion = house.token_request(&party, R1, "");
    refused(with_assertion.clone(), "another_method_registered").await;
    refused(with_assertion.over(&issued), "another_method_registered").await;
    // The certificate is of its own key, but not of the authority; and the other way round.
    let by = |id: &str, peer| token_of(id, R1).over(peer);
    refused(by(&named, &own), "certificate_untrusted").await;
    refused(by(&self_signed, &issued), "certificate_key_mismatch").await;
    refused(by(&keyed, &own), "no_client_authentication").await;
    refused(by(&unregistered, &own), "client_without_keys").await;
    // The certificate of another client of the same authority.
    refused(by(&named, &another), "certificate_name_mismatch").await;
    let none = "agt_01hzy0000000000000000000aa";
    refused(by(none, &issued), "unknown_client").await;
    // Beside the certificate, something else that looks like authentication.
    for extra in [
        ("client_secret", "s"),
        ("client_assertion", "x"),
        ("client_assertion_type", "urn:x"),
    ] {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &*named),
            ("resource", R1),
            extra,
        ];
        let ask = ask("POST", "/oauth/token").form(&form).over(&issued);
        house.send(ask).await.oauth_error(401, "invalid_client");
    }
    let basic = by(&named, &issued).header("authorization", "Basic YTpi");
    refused(basic, "several_client_authentications").await;
    let unnamed =
        ask("POST", "/oauth/token").form(&[("grant_type", "client_credentials"), ("resource", R1)]);
    refused(unnamed.over(&issued), "no_client_authentication").await;
    // Their legitimate twins.
    for (id, peer) in [(&named, &issued), (&self_signed, &own)] {
        house.send(by(id, peer)).await.ok();
    }
}

#[tokio::test]
async fn tok_09_client_without_its_certificate_is_refused_everywhere() {
    let house = House::found().await;
    let root = Root::believed_by(&house);
    house.resource(R1).await;
    let named = agent(&house, "named-bot", None, by_uri(BOT)).await;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &*named),
        ("resource", R1),
        ("token", "x"),
    ];
    for path in [
        "/oauth/token",
        "/oauth/par",
        "/oauth/device_authorization",
        "/oauth/introspect",
        "/oauth/revoke",
    ] {
        let bare = house.send(ask("POST", path).form(&form)).await;
        bare.oauth_error(401, "invalid_client");
        assert_eq!(refused_because(&house).await, "no_client_authentication");
    }
    let peer = root.connection(BOT, 1);
    house.send(token_of(&named, R1).over(&peer)).await.ok();
    // Revoking is authenticated in the same way.
    let revoke = ask("POST", "/oauth/revoke").form(&form).over(&peer);
    assert_eq!(house.send(revoke).await.status, 200);
}

#[tokio::test]
async fn change_of_the_method_is_recorded_and_voids_what_was_issued_before() {
    let house = House::found().await;
    let root = Root::believed_by(&house);
    let server = house.resource(R1).await;
    let party = house.register("refund-bot").await;
    let before = house.token(&party, R1).await;
    let path = "/v1/agents/refund-bot/authentication";
    let view = house.admin("PUT", path, by_uri(BOT)).await.ok();
    assert_eq!(view["authentication"], by_uri(BOT));
    assert!(!house.is_active(&server, &before).await);
    house
        .ask_token(&party, R1)
        .await
        .oauth_error(401, "invalid_client");
    let event = house.last_event("agent.authentication_changed").await;
    assert_eq!(event["agent"]["id"], party.id);
    let told = event["facts"]["authentication"].as_str().expect("a text");
    assert_eq!(serde_json::from_str::<Value>(told).ok(), Some(by_uri(BOT)));
    let peer = root.connection(BOT, 1);
    let answer = house.send(token_of(&party.id, R1).over(&peer)).await.ok();
    let bound = answer["access_token"].as_str().expect("a token").to_owned();
    let back = json!({"token_endpoint_auth_method": "private_key_jwt"});
    house.admin("PUT", path, back).await.ok();
    assert!(!house.is_active(&server, &bound).await);
    house.token(&party, R1).await;
    // What cannot be a registration changes nothing.
    for bad in [
        json!({"token_endpoint_auth_method": "tls_client_auth"}),
        json!({"token_endpoint_auth_method": "client_secret_post"}),
        json!({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "*.acme.example"}),
        json!({"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_ip": "somewhere"}),
    ] {
        house
            .admin("PUT", path, bad)
            .await
            .refused(400, "invalid_request");
    }
    house.token(&party, R1).await;
}

#[tokio::test]
async fn without_tls_of_our_own_nobody_is_registered_for_a_certificate() {
    let house = House::found_with(|config| config.has_tls = false).await;
    house.register("refund-bot").await;
    let path = "/v1/agents/refund-bot/authentication";
    let refused = house.admin("PUT", path, by_uri(BOT)).await;
    let problem = refused.refused(400, "invalid_request");
    assert!(problem.to_string().contains("--tls-cert"), "{problem}");
    let metadata = house.get("/.well-known/oauth-authorization-server").await;
    assert_eq!(
        metadata["token_endpoint_auth_methods_supported"],
        json!([
            "private_key_jwt",
            "attest_jwt_client_auth",
            "attest_jwt_client_auth_dpop",
            "none"
        ])
    );
    assert_eq!(
        metadata["tls_client_certificate_bound_access_tokens"],
        false
    );
}

/// A resource server with a certificate, whose token for questions is bound to it: of no use over any other connection.
#[tokio::test]
async fn x509_01_bound_token_is_of_no_use_over_a_connection_with_another_certificate() {
    let house = House::found().await;
    let root = Root::believed_by(&house);
    let uri = "spiffe://acme.example/api";
    let body = json!({"url": R1, "authentication": by_uri(uri)});
    let server = house.admin("POST", "/v1/resources", body).await.ok();
    let server = server["id"].as_str().expect("an id");
    let party = house.register("refund-bot").await;
    let token = house.token(&party, R1).await;
    // Two certificates of one authority and with one name.
    let (own, renewed) = (root.connection(uri, 1), root.connection(uri, 2));
    let answer = house.send(token_of(server, ISSUER).over(&own)).await.ok();
    let questions = answer["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(
        claims(&questions)["cnf"],
        json!({"x5t#S256": own.thumbprint()})
    );
    let question = || {
        let ask = ask("POST", "/oauth/introspect").bearer(&questions);
        ask.form(&[("token", &token)])
    };
    let decision = || {
        let ask = ask("POST", "/access/v1/evaluation").bearer(&questions);
        ask.json(&json!({
            "subject": {"type": "user", "id": "alice"},
            "action": {"name": "read"},
            "resource": {"type": "record", "id": "1"},
        }))
    };
    for (peer, why) in [
        (Some(&renewed), "certificate_mismatch"),
        (None, "certificate_missing"),
    ] {
        let over = |ask: Ask| match peer {
            Some(peer) => ask.over(peer),
            None => ask,
        };
        let refused = house.send(over(question())).await;
        refused.oauth_error(401, "invalid_token");
        assert_eq!(refused_because(&house).await, why);
        house
            .send(over(decision()))
            .await
            .refused(401, "unauthenticated");
    }
    // As DPoP it is nothing either.
    let as_dpop = question()
        .without("authorization")
        .header("authorization", format!("DPoP {questions}"));
    house
        .send(as_dpop.over(&own))
        .await
        .oauth_error(401, "invalid_token");
    let told = house.send(question().over(&own)).await.ok();
    assert_eq!(told["active"], true);
    house.send(decision().over(&own)).await.ok();
    // Introspection by the certificate itself.
    let by_certificate = ask("POST", "/oauth/introspect")
        .form(&[("client_id", server), ("token", &token)])
        .over(&renewed);
    assert_eq!(house.send(by_certificate).await.ok()["active"], true);
}

/// What a header says of a certificate is never believed: nobody but the handshake knows of one.
#[tokio::test]
async fn x509_02_forged_certificate_header_is_no_certificate() {
    let house = House::found().await;
    let root = Root::believed_by(&house);
    house.resource(R1).await;
    let named = agent(&house, "named-bot", None, by_uri(BOT)).await;
    let peer = root.connection(BOT, 1);
    let pem = "-----BEGIN CERTIFICATE----- AAAA -----END CERTIFICATE-----";
    for (name, value) in [
        ("x-forwarded-client-cert", format!("URI={BOT};Hash=00")),
        ("x_forwarded_client_cert", format!("URI={BOT};Hash=00")),
        ("x-ssl-client-cert", pem.to_owned()),
        ("x-ssl-client-verify", "SUCCESS".to_owned()),
        ("ssl_client_verify", "SUCCESS".to_owned()),
        ("ssl-client-cert", pem.to_owned()),
        ("client-cert", ":AAAA:".to_owned()),
        ("x-client-cert", pem.to_owned()),
        ("x-amzn-mtls-clientcert", pem.to_owned()),
        ("x-forwarded-proto", "https".to_owned()),
    ] {
        let forged = token_of(&named, R1).header(name, value.clone());
        let refused = house.send(forged.clone()).await;
        refused.oauth_error(401, "invalid_client");
        // Beside a certificate of somebody else it does not speak for the connection either.
        let other = root.connection("spiffe://acme.example/other", 2);
        let refused = house.send(forged.over(&other)).await;
        refused.oauth_error(401, "invalid_client");
        // And beside the right one it changes nothing.
        let right = token_of(&named, R1).header(name, value).over(&peer);
        let token = house.send(right).await.ok()["access_token"].clone();
        let cnf = &claims(token.as_str().expect("a token"))["cnf"];
        assert_eq!(*cnf, json!({"x5t#S256": peer.thumbprint()}), "{name}");
    }
}

#[tokio::test]
async fn x509_03_long_chain_is_refused_and_recorded() {
    let house = House::found().await;
    let root = Root::believed_by(&house);
    house.resource(R1).await;
    let named = agent(&house, "named-bot", None, by_uri(BOT)).await;
    // As many authorities of one name as may come, each issued by each.
    let loops: Vec<Root> = (0..7).map(|_| Root::new()).collect();
    let circle = (0..loops.len()).map(|at| {
        let above = &loops[(at + 1) % loops.len()].issuer;
        let mut params = params("Acme");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.signed_by(loops[at].issuer.key(), above);
        certificate.expect("a certificate").der().to_vec()
    });
    let key = KeyPair::generate().expect("a key");
    let mut client = params("a client");
    client.subject_alt_names = vec![SanType::URI(BOT.try_into().expect("ASCII"))];
    let client = client.signed_by(&key, &loops[0].issuer);
    let client = client.expect("a certificate").der().to_vec();
    let chain = std::iter::once(client).chain(circle);
    let peer = PeerCertificate::of_handshake(chain).expect("a chain");
    let refused = house.send(token_of(&named, R1).over(&peer)).await;
    refused.oauth_error(401, "invalid_client");
    let why = refused_because(&house).await;
    assert!(
        ["certificate_untrusted", "certificate_chain_too_long"].contains(&&*why),
        "{why}"
    );
    let right = root.connection(BOT, 1);
    house.send(token_of(&named, R1).over(&right)).await.ok();
}

#[tokio::test]
async fn x509_04_revoked_certificate_and_unknown_status_are_refused() {
    let house = House::found().await;
    let root = Root::believed_by(&house);
    house.resource(R1).await;
    let named = agent(&house, "named-bot", None, by_uri(BOT)).await;
    let (revoked, good) = (root.connection(BOT, 66), root.connection(BOT, 67));
    let by = async |peer: &PeerCertificate| house.send(token_of(&named, R1).over(peer)).await;
    by(&revoked).await.ok();
    // From the moment on at which the operator's list says so.
    root.is_believed_by(&house, Some(&root.revokes(66, 2028)));
    by(&revoked).await.oauth_error(401, "invalid_client");
    assert_eq!(refused_because(&house).await, "certificate_revoked");
    by(&good).await.ok();
    // A list whose time is over says nothing any more, of nobody.
    root.is_believed_by(&house, Some(&root.revokes(66, 2027)));
    by(&good).await.oauth_error(401, "invalid_client");
    let why = refused_because(&house).await;
    assert_eq!(why, "certificate_revocation_unknown");
}

/// Bob's agent, which is now known by its certificate.
pub(crate) async fn flow_by_certificate() -> (Flow, Root) {
    let flow = furnished().await;
    let root = Root::believed_by(&flow.house);
    let path = "/v1/agents/refund-bot/authentication";
    flow.house.admin("PUT", path, by_uri(BOT)).await.ok();
    (flow, root)
}

impl Flow {
    /// A request by the certificate of the connection, with these parameters.
    pub(crate) async fn by_certificate(
        &self,
        path: &str,
        pairs: &[(&str, &str)],
        peer: &PeerCertificate,
    ) -> Answer {
        let mut all = vec![("client_id", &*self.agent.id)];
        all.extend(pairs);
        self.house
            .send(ask("POST", path).form(&all).over(peer))
            .await
    }

    /// A code that bob lets the agent have, which asks over this connection.
    async fn code_by_certificate(&self, peer: &PeerCertificate) -> String {
        let request = self.request();
        let pairs: Vec<(&str, &str)> = request
            .iter()
            .filter(|(name, _)| *name != "dpop_jkt")
            .map(|(name, value)| (*name, &**value))
            .collect();
        let pushed = self.by_certificate("/oauth/par", &pairs, peer).await;
        assert_eq!(pushed.status.as_u16(), 201, "{pushed:?}");
        let uri = pushed.json()["request_uri"]
            .as_str()
            .expect("a name")
            .to_owned();
        let page = self.open(&uri).await;
        let form = field(&page, "form");
        let decided = self.decide(&self.login, &uri, &form, "approve").await;
        landed(&decided)["code"].clone()
    }

    pub(crate) async fn redeem_by_certificate(&self, code: &str, peer: &PeerCertificate) -> Answer {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", VERIFIER),
        ];
        self.by_certificate("/oauth/token", &pairs, peer).await
    }

    pub(crate) async fn renew_by_certificate(
        &self,
        refresh: &str,
        peer: &PeerCertificate,
    ) -> Answer {
        let pairs = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
        self.by_certificate("/oauth/token", &pairs, peer).await
    }
}

#[tokio::test]
async fn x509_05_renewal_needs_the_certificate_that_the_token_is_bound_to() {
    let (flow, root) = flow_by_certificate().await;
    // Two certificates that both authenticate the agent.
    let (own, other) = (root.connection(BOT, 1), root.connection(BOT, 2));
    let code = flow.code_by_certificate(&own).await;
    let answer = flow.redeem_by_certificate(&code, &own).await.ok();
    assert_eq!(answer["token_type"], "Bearer");
    let refresh = answer["refresh_token"].as_str().expect("a refresh token");
    let renewed = flow.renew_by_certificate(refresh, &other).await;
    renewed.oauth_error(400, "invalid_grant");
    assert_eq!(flow.refused_because().await, "certificate_mismatch");
    let renewed = flow.renew_by_certificate(refresh, &own).await.ok();
    let token = renewed["access_token"].as_str().expect("a token");
    assert_eq!(claims(token)["cnf"], json!({"x5t#S256": own.thumbprint()}));
    assert!(flow.is_active(token).await);
}

#[tokio::test]
async fn x509_05_code_is_of_use_with_the_certificate_that_it_was_asked_for_with() {
    let (flow, root) = flow_by_certificate().await;
    let (own, other) = (root.connection(BOT, 1), root.connection(BOT, 2));
    let code = flow.code_by_certificate(&own).await;
    let stolen = flow.redeem_by_certificate(&code, &other).await;
    stolen.oauth_error(400, "invalid_grant");
    assert_eq!(flow.refused_because().await, "certificate_mismatch");
    // Whoever holds half of what a code is bound to is not asked twice.
    let late = flow.redeem_by_certificate(&code, &own).await;
    late.oauth_error(400, "invalid_grant");
    let code = flow.code_by_certificate(&own).await;
    flow.redeem_by_certificate(&code, &own).await.ok();
}
