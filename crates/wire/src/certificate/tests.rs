use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chancery_model::client_authentication::CertificateName;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use serde_json::json;

use super::name::{InvalidName, normal};
use super::trust::{ClientTrust, InvalidTrust};
use super::*;
use crate::jwk::{Algorithm, PrivateKey};

type Changed<'a> = &'a dyn Fn(&mut CertificateParams);

/// An authority that issues certificates, or one below another.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
    pem: String,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2028, 1, 1);
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Authority {
    fn root(name: &str) -> Self {
        Self::new(name, None, &|_| {})
    }

    fn new(name: &str, above: Option<&Self>, change: Changed<'_>) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = authority_params(name);
        change(&mut params);
        let certificate = match above {
            None => params.self_signed(&key),
            Some(above) => params.signed_by(&key, &above.issuer),
        };
        let certificate = certificate.expect("a certificate");
        Self {
            der: certificate.der().to_vec(),
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// The certificate of a client.
    fn client(&self, change: Changed<'_>) -> Vec<u8> {
        let key = KeyPair::generate().expect("a key");
        let mut params = params("refund-bot");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![dns("bot.example")];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer);
        certificate.expect("a certificate").der().to_vec()
    }

    /// A list of what it revoked.
    fn revokes(&self, serials: &[u64], until: i32, at: Option<&str>) -> String {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(7),
            issuing_distribution_point: at.map(|uri| CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint {
                    uris: vec![uri.to_owned()],
                },
                scope: None,
            }),
            revoked_certs: serials
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from(*serial),
                    revocation_time: date_time_ymd(2026, 6, 1),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("a list");
        list.pem().expect("PEM")
    }

    fn trust(&self) -> ClientTrust {
        ClientTrust::of_pem(self.pem.as_bytes(), None).expect("a root")
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().expect("ASCII"))
}

/// The 15th of January 2027.
fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn shown(chain: &[&[u8]]) -> PeerCertificate {
    let chain = chain.iter().map(|der| der.to_vec());
    PeerCertificate::of_handshake(chain).expect("a chain")
}

fn bot() -> CertificateName {
    CertificateName::Dns("bot.example".to_owned())
}

#[test]
fn certificate_is_known_by_the_one_name_that_is_registered() {
    let root = Authority::root("Acme");
    let trust = root.trust();
    let certificate = root.client(&|params| {
        let name = &mut params.distinguished_name;
        name.push(DnType::OrganizationName, "Acme, \"Robots\"");
        name.push(DnType::CountryName, "DE");
        params.subject_alt_names = vec![
            dns("bot.example"),
            dns("*.wild.example"),
            SanType::URI("spiffe://acme.example/bot".try_into().expect("ASCII")),
            SanType::Rfc822Name("bot@acme.example".try_into().expect("ASCII")),
            SanType::IpAddress("10.0.0.1".parse().expect("an address")),
            SanType::IpAddress("2001:db8::1".parse().expect("an address")),
        ];
    });
    let peer = shown(&[&certificate]);
    let has = |name: CertificateName| {
        let name = normal(name).map_err(|error| error.to_string())?;
        let held = trust.require(&peer, &name, now());
        held.map_err(|error| error.code().to_owned())
    };
    let (dn, dns_name, uri) = (
        |text: &str| CertificateName::SubjectDn(text.to_owned()),
        |text: &str| CertificateName::Dns(text.to_owned()),
        |text: &str| CertificateName::Uri(text.to_owned()),
    );
    let (ip, email) = (
        |text: &str| CertificateName::Ip(text.to_owned()),
        |text: &str| CertificateName::Email(text.to_owned()),
    );
    for name in [
        dn(r#"C=DE,O=Acme\, \"Robots\",CN=refund-bot"#),
        dns_name("bot.example"),
        uri("spiffe://acme.example/bot"),
        ip("10.0.0.1"),
        ip("2001:0db8:0:0::1"),
        email("bot@acme.example"),
    ] {
        assert_eq!(has(name.clone()), Ok(()), "{name:?}");
    }
    for name in [
        // The order counts, and so does every part.
        dn(r#"CN=refund-bot,O=Acme\, \"Robots\",C=DE"#),
        dn("CN=refund-bot"),
        // A common name is no DNS name, and a wildcard is no name below it.
        dns_name("refund-bot"),
        dns_name("a.wild.example"),
        dns_name("wild.example"),
        dns_name("other.bot.example"),
        // One kind of name is not another.
        uri("spiffe://acme.example/bot/2"),
        uri("spiffe://acme.example/"),
        ip("10.0.0.2"),
        ip("::ffff:10.0.0.1"),
        email("BOT@acme.example"),
        email("bot@acme.example.evil"),
    ] {
        let mismatch = Err("certificate_name_mismatch".to_owned());
        assert_eq!(has(name.clone()), mismatch, "{name:?}");
    }
}

#[test]
fn names_have_one_form() {
    for (name, why) in [
        (
            CertificateName::Dns("*.example".to_owned()),
            InvalidName::Malformed,
        ),
        (CertificateName::Dns(String::new()), InvalidName::Malformed),
        (
            CertificateName::Dns("a\0b".to_owned()),
            InvalidName::Malformed,
        ),
        (
            CertificateName::Dns("Bot.example".to_owned()),
            InvalidName::Dns,
        ),
        (
            CertificateName::Dns("10.0.0.1".to_owned()),
            InvalidName::Dns,
        ),
        (CertificateName::Uri("bot".to_owned()), InvalidName::Uri),
        (
            CertificateName::Ip("bot.example".to_owned()),
            InvalidName::Ip,
        ),
        (CertificateName::Email("bot".to_owned()), InvalidName::Email),
        (
            CertificateName::SubjectDn("refund-bot".to_owned()),
            InvalidName::SubjectDn,
        ),
    ] {
        assert_eq!(normal(name.clone()), Err(why), "{name:?}");
    }
    let spaced = normal(CertificateName::SubjectDn("CN=bot,O=Acme".to_owned()));
    let again = spaced.clone().and_then(normal);
    assert_eq!(again, spaced);
}

#[test]
fn chain_leads_to_a_trusted_authority_in_its_time_and_for_clients() {
    let root = Authority::root("Acme");
    let trust = root.trust();
    let below = Authority::new("Acme below", Some(&root), &|_| {});
    let judge = |chain: &[&[u8]]| {
        let held = trust.require(&shown(chain), &bot(), now());
        held.map_err(CertificateError::code)
    };
    let plain = root.client(&|_| {});
    assert_eq!(judge(&[&plain]), Ok(()));
    let without_usage = root.client(&|params| params.extended_key_usages.clear());
    assert_eq!(judge(&[&without_usage]), Ok(()));
    let deep = below.client(&|_| {});
    assert_eq!(judge(&[&deep, &below.der]), Ok(()));
    assert_eq!(judge(&[&deep]), Err("certificate_untrusted"));
    let stranger = Authority::root("Acme").client(&|_| {});
    assert_eq!(judge(&[&stranger]), Err("certificate_untrusted"));
    let server = root.client(&|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert_eq!(judge(&[&server]), Err("certificate_wrong_usage"));
    let old = root.client(&|params| params.not_after = date_time_ymd(2027, 1, 1));
    assert_eq!(judge(&[&old]), Err("certificate_expired"));
    let early = root.client(&|params| params.not_before = date_time_ymd(2027, 2, 1));
    assert_eq!(judge(&[&early]), Err("certificate_not_yet_valid"));
    // What issues certificates is no client, even where it has the name.
    let issuing = root.client(&|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(judge(&[&issuing]), Err("certificate_untrusted"));
    // An authority may name only what it was given.
    let narrow = Authority::new("Acme narrow", Some(&root), &|params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("other.example".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    let beyond = narrow.client(&|_| {});
    assert_eq!(judge(&[&beyond, &narrow.der]), Err("certificate_untrusted"));
    assert_eq!(judge(&[b"no certificate"]), Err("certificate_malformed"));
    let nobody = ClientTrust::nobody().require(&shown(&[&plain]), &bot(), now());
    assert_eq!(nobody, Err(CertificateError::Untrusted));
}

#[test]
fn x509_03_pathological_chain_is_refused_at_once() {
    let root = Authority::root("Acme");
    // Twelve levels of six each are not even kept.
    let many = (0..72).map(|_| root.der.clone());
    let refused = PeerCertificate::of_handshake(many).map(|_| ());
    assert_eq!(refused, Err(CertificateError::TooLong));
    // As many as may come, all of one name, each issued by each: no way leads out, and looking for one ends.
    let strangers: Vec<Authority> = (0..MOST - 1).map(|_| Authority::root("Loop")).collect();
    let circle: Vec<Vec<u8>> = (0..strangers.len())
        .map(|at| {
            let above = &strangers[(at + 1) % strangers.len()];
            let params = authority_params("Loop");
            let own = strangers[at].issuer.key();
            let certificate = params.signed_by(own, &above.issuer);
            certificate.expect("a certificate").der().to_vec()
        })
        .collect();
    let own = strangers[0].client(&|_| {});
    let chain: Vec<&[u8]> = std::iter::once(&*own)
        .chain(circle.iter().map(|der| &**der))
        .collect();
    let held = root.trust().require(&shown(&chain), &bot(), now());
    assert!(
        matches!(
            held,
            Err(CertificateError::Untrusted | CertificateError::TooLong)
        ),
        "{held:?}"
    );
    // Its legitimate twin: a chain of as many passes.
    let mut levels = vec![Authority::root("Level 0")];
    for level in 1..MOST - 1 {
        let above = levels.last();
        let next = Authority::new(&format!("Level {level}"), above, &|_| {});
        levels.push(next);
    }
    let own = levels[MOST - 2].client(&|_| {});
    let chain: Vec<&[u8]> = std::iter::once(&*own)
        .chain(levels.iter().rev().map(|level| &*level.der))
        .collect();
    assert_eq!(chain.len(), MOST);
    let held = levels[0].trust().require(&shown(&chain), &bot(), now());
    assert_eq!(held, Ok(()));
}

#[test]
fn x509_04_only_a_current_list_of_its_authority_says_that_a_certificate_is_not_revoked() {
    let root = Authority::root("Acme");
    let numbered = |serial: u64| {
        root.client(&|params| params.serial_number = Some(SerialNumber::from(serial)))
    };
    let (revoked, good) = (numbered(66), numbered(67));
    let judge = |certificate: &[u8], lists: &str| {
        let trust = ClientTrust::of_pem(root.pem.as_bytes(), Some(lists.as_bytes()));
        let trust = trust.expect("lists");
        let held = trust.require(&shown(&[certificate]), &bot(), now());
        held.map_err(CertificateError::code)
    };
    let current = root.revokes(&[66], 2028, None);
    assert_eq!(judge(&good, &current), Ok(()));
    assert_eq!(judge(&revoked, &current), Err("certificate_revoked"));
    const UNKNOWN: Result<(), &str> = Err("certificate_revocation_unknown");
    // A list that is too old, one of another authority, and one that only bears the name of ours.
    assert_eq!(judge(&good, &root.revokes(&[66], 2027, None)), UNKNOWN);
    let other = Authority::root("Other").revokes(&[], 2028, None);
    assert_eq!(judge(&good, &other), UNKNOWN);
    let forged = Authority::root("Acme").revokes(&[], 2028, None);
    assert_eq!(judge(&revoked, &forged), UNKNOWN);
    // Two distribution points, of which the list is the second's.
    let points = |serial: u64| {
        root.client(&|params| {
            params.serial_number = Some(SerialNumber::from(serial));
            params.crl_distribution_points = ["http://a.example/1", "http://a.example/2"]
                .map(|uri| CrlDistributionPoint {
                    uris: vec![uri.to_owned()],
                })
                .into();
        })
    };
    let second = root.revokes(&[66], 2028, Some("http://a.example/2"));
    assert_eq!(judge(&points(66), &second), Err("certificate_revoked"));
    assert_eq!(judge(&points(67), &second), Ok(()));
    let elsewhere = root.revokes(&[], 2028, Some("http://a.example/3"));
    assert_eq!(judge(&points(66), &elsewhere), UNKNOWN);
    // No list at all was to be looked at: its time alone ends a certificate.
    let held = root.trust().require(&shown(&[&revoked]), &bot(), now());
    assert_eq!(held, Ok(()));
}

#[test]
fn x509_04_malformed_list_is_an_error_and_no_panic() {
    let root = Authority::root("Acme");
    let revoked = root.client(&|params| params.serial_number = Some(SerialNumber::from(66)));
    let list = root.revokes(&[66], 2028, Some("http://a.example/1"));
    let body: String = list.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).expect("base64");
    let read = |der: &[u8]| {
        let body = STANDARD.encode(der);
        let pem = format!("-----BEGIN X509 CRL-----\n{body}\n-----END X509 CRL-----\n");
        ClientTrust::of_pem(root.pem.as_bytes(), Some(pem.as_bytes()))
    };
    for at in 0..der.len() {
        for value in [0, 1, 0x80, 0xff, der[at] ^ 0x20] {
            let mut changed = der.clone();
            changed[at] = value;
            // Whatever can still be read is not signed by ours, and believed in nothing.
            if changed != der
                && let Ok(trust) = read(&changed)
            {
                let held = trust.require(&shown(&[&revoked]), &bot(), now());
                assert!(held.is_err(), "byte {at} as {value}");
            }
        }
        assert!(read(&der[..at]).is_err(), "cut off at {at}");
    }
    for text in ["", "no list", &root.pem] {
        let read = ClientTrust::of_pem(root.pem.as_bytes(), Some(text.as_bytes()));
        assert_eq!(read.map(|_| ()), Err(InvalidTrust::Lists), "{text}");
    }
    for text in ["", "no certificate", &*list] {
        let read = ClientTrust::of_pem(text.as_bytes(), None);
        assert_eq!(read.map(|_| ()), Err(InvalidTrust::Roots), "{text}");
    }
}

/// The certificate that a key made for itself.
fn own(key: &KeyPair, change: Changed<'_>) -> Vec<u8> {
    let mut params = params("bot");
    change(&mut params);
    let certificate = params.self_signed(key).expect("a certificate");
    certificate.der().to_vec()
}

#[test]
fn own_certificate_is_known_by_its_key_alone_and_in_its_time() {
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let certificate = own(&key, &|_| {});
        let jwk = public_key(&certificate).expect("a key").to_jwk();
        let keys = KeySet::parse(&json!({"keys": [jwk]})).expect("keys");
        let other = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let others = KeySet::of_keys([other.public().clone()]).expect("keys");
        let peer = shown(&[&certificate]);
        assert_eq!(peer.require_key(&keys, now()), Ok(()));
        let foreign = peer.require_key(&others, now());
        assert_eq!(foreign, Err(CertificateError::KeyMismatch));
        // Another certificate of the same key is as good; one whose time is over is not.
        let renewed = own(&key, &|params| params.not_after = date_time_ymd(2030, 1, 1));
        assert_eq!(shown(&[&renewed]).require_key(&keys, now()), Ok(()));
        assert_ne!(shown(&[&renewed]).thumbprint(), peer.thumbprint());
        let late = Timestamp::from_secs(1_900_000_000);
        let ended = peer.require_key(&keys, late);
        assert_eq!(ended, Err(CertificateError::Expired));
        let early = peer.require_key(&keys, Timestamp::from_secs(1_700_000_000));
        assert_eq!(early, Err(CertificateError::NotYetValid));
    }
    let unknown = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
    let refused = public_key(&own(&unknown, &|_| {}));
    assert_eq!(refused.err(), Some(CertificateError::KeyMismatch));
}

#[test]
fn registered_certificate_must_be_of_the_key_that_it_is_registered_with() {
    let (key, other) = (
        KeyPair::generate().expect("a key"),
        KeyPair::generate().expect("a key"),
    );
    let with = |certificate: &[u8]| {
        let mut jwk = public_key(&own(&key, &|_| {})).expect("a key").to_jwk();
        jwk["x5c"] = json!([STANDARD.encode(certificate)]);
        KeySet::parse(&json!({"keys": [jwk]})).map(|_| ())
    };
    assert_eq!(with(&own(&key, &|_| {})), Ok(()));
    let refused = Err(crate::jwk::JwkError::Malformed("x5c"));
    assert_eq!(with(&own(&other, &|_| {})), refused);
    assert_eq!(with(b"no certificate"), refused);
}

#[test]
fn certificate_of_a_server_is_for_its_names_and_its_time() {
    let key = KeyPair::generate().expect("a key");
    let certificate = own(&key, &|params| {
        params.subject_alt_names = vec![
            dns("id.example"),
            SanType::IpAddress("127.0.0.1".parse().expect("an address")),
        ];
    });
    for (name, is_its) in [
        ("id.example", true),
        ("127.0.0.1", true),
        ("other.example", false),
        ("[::1]", false),
        ("", false),
    ] {
        assert_eq!(is_of_server(&certificate, name), is_its, "{name}");
    }
    let Validity { from, until } = validity(&certificate).expect("a certificate");
    assert_eq!(from.as_secs(), 1_767_225_600);
    assert_eq!(until.as_secs(), 1_830_297_601);
}
