use super::*;
use crate::access_token;

const ISSUER: &str = "https://as.example";
const ATTESTER: &str = "https://attester.example";
const CLIENT: &str = "agt_01hzy0000000000000000000aa";
const NOW: i64 = 1_790_000_000;

fn now() -> Timestamp {
    Timestamp::from_secs(NOW)
}

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256).expect("a key")
}

/// The attester's key and that of a running copy.
struct Keys {
    attester: PrivateKey,
    instance: PrivateKey,
}

impl Keys {
    fn new() -> Self {
        Self {
            attester: key(),
            instance: key(),
        }
    }

    fn good(&self) -> Value {
        json!({
            "iss": ATTESTER, "sub": CLIENT, "iat": NOW - 60, "exp": NOW + 600,
            "cnf": {"jwk": self.instance.public().bare_jwk()},
        })
    }

    fn verify(&self, attestation: &str) -> Result<VerifiedAttestation, AttestationError> {
        let keys = KeySet::of_keys([self.attester.public().clone()]).expect("a set");
        let expect = Expect {
            issuer: Some(ATTESTER),
            now: now(),
        };
        UnverifiedAttestation::parse(attestation)?.verify(&keys, &expect)
    }

    fn outcome(&self, typ: &str, claims: &Value) -> Result<(), &'static str> {
        let signed = jws::sign(&self.attester, typ, claims.to_string().as_bytes());
        let verified = self.verify(&signed);
        verified.map(drop).map_err(AttestationError::code)
    }

    fn attested(&self) -> VerifiedAttestation {
        let client: ClientId = CLIENT.parse().expect("an id");
        let instance = self.instance.public();
        let hour = Duration::from_secs(3_600);
        let signed = attest(client, ATTESTER, instance, now(), hour, &self.attester);
        self.verify(&signed).expect("a good attestation")
    }
}

#[test]
fn what_an_attester_says_names_the_client_and_the_key_of_its_copy() {
    let keys = Keys::new();
    let attested = keys.attested();
    assert_eq!(attested.client_id().to_string(), CLIENT);
    assert_eq!(attested.instance(), keys.instance.public().thumbprint());
    assert_eq!(keys.outcome(TYP, &keys.good()), Ok(()));
    // The key of an Ed25519 or RSA copy is as good.
    for algorithm in [Algorithm::EdDsa, Algorithm::Ps256] {
        let Ok(instance) = PrivateKey::generate(algorithm) else {
            continue;
        };
        let mut claims = keys.good();
        claims["cnf"]["jwk"] = instance.public().bare_jwk();
        assert_eq!(keys.outcome(TYP, &claims), Ok(()));
    }
}

#[test]
fn attestation_is_of_the_attester_in_its_time_and_about_a_public_key() {
    let keys = Keys::new();
    let with = |name: &str, value: Value| {
        let mut claims = keys.good();
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().expect("claims").remove(name);
        }
        keys.outcome(TYP, &claims)
    };
    for (name, value, code) in [
        ("sub", Value::Null, "attestation_claim_missing"),
        ("sub", json!("somebody"), "attestation_malformed"),
        ("exp", Value::Null, "attestation_claim_missing"),
        ("exp", json!("soon"), "attestation_malformed"),
        ("exp", json!(NOW - 60), "attestation_stale"),
        ("iat", json!(NOW - 90_000), "attestation_stale"),
        ("iat", json!(NOW + 60), "attestation_not_yet_valid"),
        ("nbf", json!(NOW + 60), "attestation_not_yet_valid"),
        ("iss", Value::Null, "attestation_wrong_issuer"),
        ("iss", json!(ISSUER), "attestation_wrong_issuer"),
        ("cnf", Value::Null, "attestation_claim_missing"),
        ("cnf", json!({"jkt": "x"}), "attestation_malformed"),
        (
            "cnf",
            json!({"jwk": {"kty": "oct", "k": "AA"}}),
            "attestation_key_refused",
        ),
    ] {
        assert_eq!(with(name, value.clone()), Err(code), "{name} {value}");
    }
    let mut private = keys.instance.public().bare_jwk();
    private["d"] = json!("AAAA");
    let private = with("cnf", json!({"jwk": private}));
    assert_eq!(private, Err("attestation_key_refused"));
    let mut long = keys.good();
    long["exp"] = json!(NOW + 200_000);
    assert_eq!(keys.outcome(TYP, &long), Ok(()));
    long.as_object_mut().expect("claims").remove("iat");
    assert_eq!(keys.outcome(TYP, &long), Err("attestation_stale"));
    // Tokens of other kinds, whoever signed them.
    for typ in ["JWT", POP_TYP, access_token::TYP, "dpop+jwt"] {
        let other = keys.outcome(typ, &keys.good());
        assert_eq!(other, Err("attestation_typ_mismatch"), "{typ}");
    }
    let stranger = jws::sign(&key(), TYP, keys.good().to_string().as_bytes());
    let refused = keys.verify(&stranger).map(drop);
    assert_eq!(refused, Err(AttestationError::UnknownKey));
    let expected = AttestationError::Malformed;
    assert_eq!(keys.verify("a.b").map(drop), Err(expected));
}

#[test]
fn proof_is_by_the_attested_key_for_us_now_and_to_our_challenge() {
    let keys = Keys::new();
    let attested = keys.attested();
    let ours = |challenge: &str| match challenge {
        "ours" => Ok(()),
        _ => Err(NonceError::Unknown),
    };
    let expect = ExpectProof {
        issuer: ISSUER,
        now: now(),
        challenge: &ours,
    };
    let outcome = |typ: &str, claims: &Value, signer: &PrivateKey| {
        let signed = jws::sign(signer, typ, claims.to_string().as_bytes());
        attested
            .prove(&signed, &expect)
            .map_err(AttestationError::code)
    };
    let good = json!({"aud": ISSUER, "jti": "j-1", "iat": NOW, "challenge": "ours"});
    let proved = outcome(POP_TYP, &good, &keys.instance).expect("a proof");
    assert_eq!(proved.expires_at, now().after(Duration::from_secs(65)));
    let own = proof(ISSUER, "j-1", Some("ours"), now(), &keys.instance);
    let again = attested.prove(&own, &expect).expect("a proof");
    assert_eq!(again, proved, "one name for one proof");
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().expect("claims").remove(name);
        }
        outcome(POP_TYP, &claims, &keys.instance).map(drop)
    };
    for (name, value, code) in [
        ("aud", Value::Null, "attestation_proof_claim_missing"),
        ("aud", json!([ISSUER]), "attestation_proof_wrong_audience"),
        (
            "aud",
            json!("https://as.example/oauth/token"),
            "attestation_proof_wrong_audience",
        ),
        ("jti", Value::Null, "attestation_proof_claim_missing"),
        ("jti", json!(""), "attestation_proof_malformed"),
        ("iat", Value::Null, "attestation_proof_claim_missing"),
        ("iat", json!(NOW - 66), "attestation_proof_expired"),
        ("iat", json!(NOW + 60), "attestation_proof_not_yet_valid"),
        ("challenge", Value::Null, "use_attestation_challenge"),
        ("challenge", json!("theirs"), "use_attestation_challenge"),
    ] {
        assert_eq!(with(name, value.clone()), Err(code), "{name} {value}");
    }
    let other = outcome(POP_TYP, &good, &key());
    assert_eq!(other, Err("attestation_proof_bad_signature"));
    let by_attester = outcome(POP_TYP, &good, &keys.attester);
    assert_eq!(by_attester, Err("attestation_proof_bad_signature"));
    for typ in [TYP, "JWT", "dpop+jwt"] {
        let other = outcome(typ, &good, &keys.instance);
        assert_eq!(other, Err("attestation_proof_typ_mismatch"), "{typ}");
    }
}
