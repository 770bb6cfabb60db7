use chancery_model::entropy::Entropy;
use chancery_model::secret::Secret;
use chancery_model::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::jwk::{Algorithm, PrivateKey};
use crate::vectors;

const ISSUER: &str = "https://id.example";
const USER: &[u8] = b"own_alice";
const ID: &[u8] = &[7; 32];

struct Fixed;

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(9);
    }
}

fn party() -> RelyingParty {
    RelyingParty::of_issuer(ISSUER).expect("a party")
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn challenge(ceremony: Ceremony<'_>) -> FreshChallenge {
    let key = ChallengeKey::new(&Secret::new([1; 32]));
    let text = key.issue(ceremony, now(), &Fixed);
    let bytes = base64url::decode(&text).expect("base64url");
    key.check(&bytes, ceremony, now()).expect("a challenge")
}

/// An authenticator in software, with everything in it open to change.
struct Authenticator {
    key: PrivateKey,
    rp_id: &'static str,
    flags: u8,
    counter: u32,
    client_data: Value,
    user_handle: Vec<u8>,
    extra: Vec<u8>,
}

const CREATED: u8 = 0x45;
const SIGNED: u8 = 0x05;

impl Authenticator {
    fn new(kind: &str, flags: u8, challenge: &FreshChallenge) -> Self {
        Self {
            key: PrivateKey::generate(Algorithm::Es256).expect("a key"),
            rp_id: "id.example",
            flags,
            counter: 0,
            client_data: json!({
                "type": kind, "challenge": base64url::encode(challenge.bytes()), "origin": ISSUER,
                "crossOrigin": false,
            }),
            user_handle: USER.to_vec(),
            extra: Vec::new(),
        }
    }

    fn authenticator_data(&self, attested: &[u8]) -> Vec<u8> {
        let hash = hash::sha256(self.rp_id.as_bytes());
        let counter = self.counter.to_be_bytes();
        [
            hash.as_bytes(),
            &[self.flags][..],
            &counter,
            attested,
            &self.extra,
        ]
        .concat()
    }

    fn client_data(&self) -> String {
        base64url::encode(self.client_data.to_string().as_bytes())
    }

    fn credential(&self, id: &[u8]) -> Vec<u8> {
        let length = u16::try_from(id.len()).expect("a length").to_be_bytes();
        [&[0; 16][..], &length, id, &cose(&self.key)].concat()
    }

    fn create(&self) -> (String, String) {
        let data = self.authenticator_data(&self.credential(ID));
        (self.client_data(), base64url::encode(&attestation(&data)))
    }

    fn register(&self, challenge: &FreshChallenge) -> Result<VerifiedRegistration, WebauthnError> {
        let (client_data, object) = self.create();
        register(ID, &client_data, &object, challenge)
    }

    fn sign(&self) -> (String, String, String) {
        let data = self.authenticator_data(&[]);
        let client_data = self.client_data.to_string();
        let message = [&data[..], hash::sha256(client_data.as_bytes()).as_bytes()].concat();
        let signature = match self.key.public().algorithm() {
            Algorithm::Es256 => der(&self.key.sign(&message)),
            _ => self.key.sign(&message),
        };
        let [data, signature] = [&data, &signature].map(|part| base64url::encode(part));
        (self.client_data(), data, signature)
    }

    fn known<'a>(&'a self, id: &'a str) -> KnownCredential<'a> {
        KnownCredential {
            id,
            key: self.key.public(),
            counter: 0,
            is_backup_eligible: false,
            user_handle: USER,
        }
    }

    fn assert(
        &self,
        challenge: &FreshChallenge,
        known: &KnownCredential<'_>,
    ) -> Result<VerifiedAssertion, WebauthnError> {
        let (client_data_json, data, signature) = self.sign();
        let response = AssertionResponse {
            id: &base64url::encode(ID),
            client_data_json: &client_data_json,
            authenticator_data: &data,
            signature: &signature,
            user_handle: &base64url::encode(&self.user_handle),
        };
        UnverifiedAssertion::parse(&response)?.verify(&party(), challenge, known)
    }
}

fn register(
    id: &[u8],
    client_data_json: &str,
    attestation_object: &str,
    challenge: &FreshChallenge,
) -> Result<VerifiedRegistration, WebauthnError> {
    let response = RegistrationResponse {
        id: &base64url::encode(id),
        client_data_json,
        attestation_object,
    };
    UnverifiedRegistration::parse(&response)?.verify(&party(), challenge)
}

/// The COSE key of a public key.
fn cose(key: &PrivateKey) -> Vec<u8> {
    let jwk = key.public().bare_jwk();
    let side = |name: &str| base64url::decode(jwk[name].as_str().expect("a text")).expect("bytes");
    match key.public().algorithm() {
        Algorithm::Es256 => [
            &b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"[..],
            &side("x"),
            b"\x22\x58\x20",
            &side("y"),
        ]
        .concat(),
        _ => [&b"\xa4\x01\x01\x03\x27\x20\x06\x21\x58\x20"[..], &side("x")].concat(),
    }
}

/// An attestation object without attestation.
fn attestation(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("a length").to_be_bytes();
    let head = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59";
    [&head[..], &length, data].concat()
}

/// The DER form of an ECDSA signature.
fn der(fixed: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| *byte != 0).expect("not zero");
        let pad = &[0][..usize::from(bytes[start] >> 7)];
        let length = (bytes.len() - start + pad.len()) as u8;
        [&[2, length][..], pad, &bytes[start..]].concat()
    };
    let (r, s) = fixed.split_at(32);
    let both = [integer(r), integer(s)].concat();
    [&[0x30, both.len() as u8][..], &both].concat()
}

fn get() -> (Authenticator, FreshChallenge) {
    let challenge = challenge(Ceremony::SignIn);
    (
        Authenticator::new("webauthn.get", SIGNED, &challenge),
        challenge,
    )
}

fn create() -> (Authenticator, FreshChallenge) {
    let challenge = challenge(Ceremony::Enrol("x"));
    (
        Authenticator::new("webauthn.create", CREATED, &challenge),
        challenge,
    )
}

fn credential_id() -> String {
    base64url::encode(ID)
}

/// What becomes of an assertion that was changed before it was signed.
#[track_caller]
fn signing(change: impl FnOnce(&mut Authenticator)) -> Result<(), &'static str> {
    let (mut one, challenge) = get();
    change(&mut one);
    let verified = one.assert(&challenge, &one.known(&credential_id()));
    verified.map(drop).map_err(WebauthnError::code)
}

/// The same for a registration.
#[track_caller]
fn creating(change: impl FnOnce(&mut Authenticator)) -> Result<(), &'static str> {
    let (mut one, challenge) = create();
    change(&mut one);
    one.register(&challenge)
        .map(drop)
        .map_err(WebauthnError::code)
}

#[test]
fn passkey_is_made_and_signs_with_each_kind_of_key() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let (mut made, fresh) = create();
        made.key = PrivateKey::generate(algorithm).expect("a key");
        let verified = made.register(&fresh).expect("a passkey");
        assert_eq!(verified.key(), made.key.public());
        assert_eq!(verified.credential_id(), credential_id());
        assert_eq!(
            (verified.counter(), verified.is_backup_eligible()),
            (0, false)
        );
        let (mut one, fresh) = get();
        (one.key, one.counter) = (made.key, 3);
        let known = KnownCredential {
            key: verified.key(),
            ..one.known(verified.credential_id())
        };
        assert_eq!(one.assert(&fresh, &known).expect("signed").counter(), 3);
    }
}

#[test]
fn wan_01_signature_and_name_of_the_credential_must_both_be_right() {
    assert_eq!(signing(|_| {}), Ok(()));
    let (one, fresh) = get();
    let id = credential_id();
    let other = PrivateKey::generate(Algorithm::Es256).expect("a key");
    let by_other = KnownCredential {
        key: other.public(),
        ..one.known(&id)
    };
    assert_eq!(
        one.assert(&fresh, &by_other),
        Err(WebauthnError::BadSignature)
    );
    let another = base64url::encode(&[8; 32]);
    let found = one.assert(&fresh, &one.known(&another));
    assert_eq!(found, Err(WebauthnError::CredentialMismatch));
    let (made, fresh) = create();
    let (client_data, object) = made.create();
    let found = register(&[8; 32], &client_data, &object, &fresh);
    assert_eq!(found, Err(WebauthnError::CredentialMismatch));
}

#[test]
fn wan_02_answer_is_to_the_challenge_that_was_checked() {
    let (one, _) = get();
    let other = challenge(Ceremony::Enrol("x"));
    let found = one.assert(&other, &one.known(&credential_id()));
    assert_eq!(found, Err(WebauthnError::ChallengeUnknown));
}

#[test]
fn wan_03_origin_domain_and_type_are_exact() {
    assert_eq!((signing(|_| {}), creating(|_| {})), (Ok(()), Ok(())));
    for origin in [
        "https://evil.id.example",
        "https://evil.example",
        "http://id.example",
        "https://id.example:8443",
        "https://id.example:443",
        "https://id.example/",
        "https://ID.example",
        "https://example",
        "https://id.example.evil.example",
        "null",
        "",
    ] {
        let change = |one: &mut Authenticator| one.client_data["origin"] = origin.into();
        assert_eq!(signing(change), Err("origin_mismatch"), "{origin}");
        assert_eq!(creating(change), Err("origin_mismatch"), "{origin}");
    }
    for rp_id in ["example", "ID.example", "id.example.", "evil.example", ""] {
        assert_eq!(
            signing(|one| one.rp_id = rp_id),
            Err("rp_id_mismatch"),
            "{rp_id}"
        );
        assert_eq!(
            creating(|one| one.rp_id = rp_id),
            Err("rp_id_mismatch"),
            "{rp_id}"
        );
    }
    let other =
        |kind: &'static str| move |one: &mut Authenticator| one.client_data["type"] = kind.into();
    for kind in ["webauthn.create", "payment.get", "webauthn.GET", ""] {
        assert_eq!(signing(other(kind)), Err("type_mismatch"), "{kind}");
    }
    assert_eq!(creating(other("webauthn.get")), Err("type_mismatch"));
    for (member, value) in [
        ("crossOrigin", json!(true)),
        ("topOrigin", json!("https://evil.example")),
        ("topOrigin", json!(ISSUER)),
    ] {
        let change = |one: &mut Authenticator| one.client_data[member] = value.clone();
        assert_eq!(signing(change), Err("cross_origin"), "{member}");
        assert_eq!(creating(change), Err("cross_origin"), "{member}");
    }
}

#[test]
fn wan_04_the_person_is_present_and_verified() {
    for (flags, expected) in [
        (0x05, Ok(())),
        (0x01, Err("user_not_verified")),
        (0x04, Err("user_not_present")),
        (0x00, Err("user_not_present")),
        (0x15, Err("backup_inconsistent")),
        // The credential was made without the flag.
        (0x0d, Err("backup_inconsistent")),
        (0x1d, Err("backup_inconsistent")),
    ] {
        assert_eq!(signing(|one| one.flags = flags), expected, "{flags:x}");
    }
    for (flags, expected) in [
        (0x45, Ok(())),
        (0x4d, Ok(())),
        (0x5d, Ok(())),
        (0x41, Err("user_not_verified")),
        (0x44, Err("user_not_present")),
        (0x55, Err("backup_inconsistent")),
    ] {
        assert_eq!(creating(|one| one.flags = flags), expected, "{flags:x}");
    }
}

#[test]
fn wan_06_the_person_is_the_one_of_the_credential() {
    for handle in [&b"own_bob"[..], b"own_alic", b"own_alicee", b"OWN_alice"] {
        let found = signing(|one| one.user_handle = handle.to_vec());
        assert_eq!(found, Err("user_mismatch"));
    }
    assert_eq!(signing(|one| one.user_handle.clear()), Err("malformed"));
}

#[test]
fn counter_that_does_not_grow_is_refused_when_there_is_one() {
    for (before, now, expected) in [
        (0, 0, Ok(0)),
        (0, 1, Ok(1)),
        (5, 6, Ok(6)),
        (5, 5, Err(WebauthnError::CounterNotGrown)),
        (5, 4, Err(WebauthnError::CounterNotGrown)),
        (5, 0, Err(WebauthnError::CounterNotGrown)),
        (u32::MAX - 1, u32::MAX, Ok(u32::MAX)),
    ] {
        let (mut one, fresh) = get();
        one.counter = now;
        let id = credential_id();
        let known = KnownCredential {
            counter: before,
            ..one.known(&id)
        };
        let found = one
            .assert(&fresh, &known)
            .map(|verified| verified.counter());
        assert_eq!(found, expected, "{before} {now}");
    }
}

#[test]
fn what_is_left_over_missing_or_too_long_is_refused() {
    assert_eq!(signing(|one| one.extra = vec![0]), Err("malformed"));
    assert_eq!(creating(|one| one.extra = vec![0]), Err("malformed"));
    // Flags that promise what is not there.
    assert_eq!(signing(|one| one.flags = 0x45), Err("malformed"));
    assert_eq!(creating(|one| one.flags = 0x05), Err("malformed"));
    assert_eq!(signing(|one| one.flags = 0x85), Err("malformed"));
    let with_extensions = |extra: &'static [u8]| {
        signing(|one| {
            one.flags = 0x85;
            one.extra = extra.to_vec();
        })
    };
    assert_eq!(with_extensions(b"\xa1\x61a\xf5"), Ok(()));
    assert_eq!(with_extensions(b"\xa1\x61a\xf5\x00"), Err("malformed"));
    assert_eq!(with_extensions(b"\x81\xf5"), Err("malformed"));

    let (made, fresh) = create();
    for length in [0, 1, MAX_CREDENTIAL_ID, MAX_CREDENTIAL_ID + 1] {
        let id = vec![3; length];
        let object = attestation(&made.authenticator_data(&made.credential(&id)));
        let object = base64url::encode(&object);
        let found = register(&id, &made.client_data(), &object, &fresh);
        let is_legal = (1..=MAX_CREDENTIAL_ID).contains(&length);
        assert_eq!(found.is_ok(), is_legal, "{length}: {found:?}");
    }
    let (client_data, object) = made.create();
    let huge = "A".repeat(1 << 20);
    let found = register(ID, &huge, &object, &fresh);
    assert_eq!(found, Err(WebauthnError::TooLarge("client_data_json")));
    let found = register(ID, &client_data, &huge, &fresh);
    assert_eq!(found, Err(WebauthnError::TooLarge("attestation_object")));
    let found = register(&[1; 4_000], &client_data, &object, &fresh);
    assert_eq!(found, Err(WebauthnError::TooLarge("id")));
}

#[test]
fn client_data_are_strict_json_with_one_of_each_member() {
    let (one, fresh) = get();
    let good = one.client_data.to_string();
    let id = credential_id();
    for bad in [
        good.replacen('{', r#"{"type":"webauthn.get","#, 1),
        good.replace("\"webauthn.get\"", "null"),
        good.replace("false", "\"false\""),
        good.replace("false", "null"),
        format!("\u{feff}{good}"),
        format!("{good} {good}"),
        "[]".to_owned(),
    ] {
        let response = AssertionResponse {
            id: &id,
            client_data_json: &base64url::encode(bad.as_bytes()),
            authenticator_data: &base64url::encode(&one.authenticator_data(&[])),
            signature: "AA",
            user_handle: "AA",
        };
        let found = UnverifiedAssertion::parse(&response).map(drop);
        assert_eq!(
            found,
            Err(WebauthnError::Malformed("client_data_json")),
            "{bad}"
        );
    }
    // Browsers may say more.
    let more = |one: &mut Authenticator| one.client_data["extraData"] = json!({"a": [1]});
    assert_eq!(signing(more), Ok(()));
    assert_eq!(fresh, challenge(Ceremony::SignIn));
}

#[test]
fn keys_are_of_an_algorithm_that_was_asked_for_and_written_in_one_way() {
    let (made, fresh) = create();
    let good = cose(&made.key);
    let with = |key: &[u8]| {
        let credential = [&[0; 16][..], &[0, 32], ID, key].concat();
        let object = attestation(&made.authenticator_data(&credential));
        let object = base64url::encode(&object);
        let found = register(ID, &made.client_data(), &object, &fresh);
        found.map(drop).map_err(WebauthnError::code)
    };
    let swapped = |from: &[u8], to: &[u8]| {
        let at = good.windows(from.len()).position(|window| window == from);
        let at = at.expect("the piece");
        [&good[..at], to, &good[at + from.len()..]].concat()
    };
    assert_eq!(with(&good), Ok(()));
    // ES384, ES512, HMAC, none; another kind; another curve.
    assert_eq!(
        with(&swapped(b"\x03\x26", b"\x03\x38\x22")),
        Err("alg_not_allowed")
    );
    assert_eq!(
        with(&swapped(b"\x03\x26", b"\x03\x38\x23")),
        Err("alg_not_allowed")
    );
    assert_eq!(
        with(&swapped(b"\x03\x26", b"\x03\x05")),
        Err("alg_not_allowed")
    );
    assert_eq!(
        with(&swapped(b"\x03\x26", b"\x03\x00")),
        Err("alg_not_allowed")
    );
    assert_eq!(with(&swapped(b"\x03\x26", b"\x03\x27")), Err("key_refused"));
    assert_eq!(with(&swapped(b"\x01\x02", b"\x01\x04")), Err("key_refused"));
    assert_eq!(with(&swapped(b"\x20\x01", b"\x20\x02")), Err("key_refused"));
    // One member more, and a point that is not on the curve.
    let more = [&b"\xa6\x04\x81\x02"[..], &good[1..]].concat();
    assert_eq!(with(&more), Err("key_refused"));
    let mut off = good.clone();
    *off.last_mut().expect("a byte") ^= 1;
    assert_eq!(with(&off), Err("key_refused"));
    // A name twice is not CBOR of an authenticator.
    let twice = [&b"\xa6\x01\x02"[..], &good[1..]].concat();
    assert_eq!(with(&twice), Err("malformed"));
}

#[test]
fn relying_party_is_the_host_of_the_issuer_and_localhost_on_loopback() {
    for (issuer, id, origin) in [
        ("https://id.example", "id.example", "https://id.example"),
        (
            "https://id.example:8443",
            "id.example",
            "https://id.example:8443",
        ),
        (
            "http://127.0.0.1:7420",
            "localhost",
            "http://localhost:7420",
        ),
        ("http://[::1]:7420", "localhost", "http://localhost:7420"),
        (
            "http://localhost:7420",
            "localhost",
            "http://localhost:7420",
        ),
        ("https://localhost", "localhost", "https://localhost"),
    ] {
        let party = RelyingParty::of_issuer(issuer).expect("a party");
        assert_eq!((party.id(), party.origin()), (id, origin), "{issuer}");
    }
    assert!(RelyingParty::of_issuer("http://id.example").is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_panic(
        one: Vec<u8>, two: Vec<u8>, three: Vec<u8>, text in "\\PC{0,60}",
    ) {
        let [one, two, three] = [one, two, three].map(|bytes| base64url::encode(&bytes));
        for text in [&text, &one] {
            let registration = RegistrationResponse {
                id: &two, client_data_json: text, attestation_object: &three,
            };
            prop_assert!(UnverifiedRegistration::parse(&registration).is_err());
            let assertion = AssertionResponse {
                id: &one, client_data_json: text, authenticator_data: &two, signature: &three, user_handle: &one,
            };
            prop_assert!(UnverifiedAssertion::parse(&assertion).is_err());
        }
        let _read = AuthenticatorData::parse(text.as_bytes());
    }

    #[test]
    fn wan_01_no_changed_bit_of_an_assertion_is_accepted(bit in 0usize..100_000) {
        let (one, fresh) = get();
        let (client_data, data, signature) = one.sign();
        let id = credential_id();
        let whole = [client_data, data, signature, id.clone()].map(|part| base64url::decode(&part).expect("bytes"));
        let lengths: Vec<usize> = whole.iter().map(Vec::len).collect();
        let mut bytes = whole.concat();
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut rest = &bytes[..];
        let parts: Vec<String> = lengths.into_iter().map(|length| {
            let (part, after) = rest.split_at(length);
            rest = after;
            base64url::encode(part)
        }).collect();
        let response = AssertionResponse {
            id: &parts[3], client_data_json: &parts[0], authenticator_data: &parts[1], signature: &parts[2],
            user_handle: &base64url::encode(USER),
        };
        let found = UnverifiedAssertion::parse(&response)
            .and_then(|read| read.verify(&party(), &fresh, &one.known(&id)));
        prop_assert!(found.is_err());
    }

    #[test]
    fn no_changed_bit_of_an_attestation_object_panics_or_names_another_credential(bit in 0usize..100_000) {
        let (made, fresh) = create();
        let (client_data, object) = made.create();
        let mut bytes = base64url::decode(&object).expect("bytes");
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(verified) = register(ID, &client_data, &base64url::encode(&bytes), &fresh) {
            prop_assert_eq!(verified.credential_id(), credential_id());
        }
    }
}

/// A member of the W3C vectors: hexadecimal.
fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("a text");
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex")
    };
    digits.map(byte).collect()
}

/// What must become of a ceremony of the vectors, as far as its data say: who was not verified is refused, and so
/// is who came through a page of others.
fn expected(client_data: &[u8], flags: u8, is_known_algorithm: bool) -> Option<WebauthnError> {
    let client_data: Value = serde_json::from_slice(client_data).expect("JSON");
    if client_data["crossOrigin"] == true {
        return Some(WebauthnError::CrossOrigin);
    }
    if flags & 4 == 0 {
        return Some(WebauthnError::UserNotVerified);
    }
    (!is_known_algorithm).then_some(WebauthnError::AlgNotAllowed)
}

#[test]
fn w3c_level_3_vectors() {
    let Some(file) = vectors::file("webauthn-l3", "vectors.json") else {
        return;
    };
    let party =
        RelyingParty::of_issuer(file["origin"].as_str().expect("an origin")).expect("a party");
    assert_eq!(party.id(), file["rpId"].as_str().expect("a domain"));
    let (mut cases, mut accepted) = (0, 0);
    for vector in file["vectors"].as_array().expect("vectors") {
        let (name, made, signed) = (
            &vector["id"],
            &vector["registration"],
            &vector["authentication"],
        );
        let part = |from: &Value, name: &str| base64url::encode(&hex(&from[name]));
        let id = part(made, "credential_id");
        let response = RegistrationResponse {
            id: &id,
            client_data_json: &part(made, "clientDataJSON"),
            attestation_object: &part(made, "attestationObject"),
        };
        let read = UnverifiedRegistration::parse(&response).expect("well formed");
        let key = read
            .authenticator_data
            .attested
            .clone()
            .expect("a credential")
            .key;
        let (flags, is_known) = (read.authenticator_data.flags(), key.is_ok());
        assert_eq!(is_known, !name.to_string().contains("es384"), "{name}");
        let fresh = FreshChallenge::of_vectors(&hex(&made["challenge"]));
        let found = read.verify(&party, &fresh);
        let refusal = expected(&hex(&made["clientDataJSON"]), flags, is_known);
        assert_eq!(
            found.as_ref().err().copied(),
            refusal,
            "registration {name}"
        );
        accepted += u32::from(found.is_ok());
        cases += 1;

        let response = AssertionResponse {
            id: &id,
            client_data_json: &part(signed, "clientDataJSON"),
            authenticator_data: &part(signed, "authenticatorData"),
            signature: &part(signed, "signature"),
            user_handle: "AA",
        };
        let read = UnverifiedAssertion::parse(&response).expect("well formed");
        cases += 1;
        let Ok(key) = key else { continue };
        // The signature holds whether or not we would have accepted the rest.
        assert_eq!(
            key.verify_der(&read.signed, &read.signature),
            Ok(()),
            "{name}"
        );
        let fresh = FreshChallenge::of_vectors(&hex(&signed["challenge"]));
        let flags = read.authenticator_data.flags();
        let known = KnownCredential {
            id: &id,
            key: &key,
            counter: 0,
            is_backup_eligible: flags & 8 != 0,
            user_handle: &[0],
        };
        let found = read.verify(&party, &fresh, &known);
        let refusal = expected(&hex(&signed["clientDataJSON"]), flags, true);
        assert_eq!(found.as_ref().err().copied(), refusal, "assertion {name}");
        accepted += u32::from(found.is_ok());
    }
    assert!(accepted > 2, "some are accepted: {accepted}");
    println!("webauthn-l3 vectors: {cases} cases, {accepted} of them accepted");
}
