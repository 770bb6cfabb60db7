use chancery_model::time::Timestamp;
use chancery_model::version::VersionState;
use serde_json::json;

use super::*;
use crate::jwk::Algorithm;

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256).expect("a key")
}

fn document(description: &str) -> Document {
    let json = json!({
        "name": "bot", "owner": "alice@example.com", "description": description,
        "expires_at": "2027-01-31T00:00:00Z",
    });
    serde_json::from_value(json).expect("a document")
}

fn version(number: i64, previous: Option<Digest>, key: &PrivateKey) -> Version {
    let mut version = Version {
        agent_id: "agt_01hzy0000000000000000000aa".parse().expect("an id"),
        number,
        digest: digest_of(&document(&number.to_string())),
        previous,
        document: document(&number.to_string()),
        signature: String::new(),
        proposed_by: "alice@example.com".parse().expect("hands"),
        proposed_at: Timestamp::from_secs(0),
        state: VersionState::Pending,
    };
    version.signature = sign_version(&Statement::of(&version), key);
    version
}

#[test]
fn a_digest_is_that_of_the_canonical_document() {
    let document = document("x");
    let value = serde_json::to_value(&document).expect("JSON");
    assert_eq!(json::digest(&value), Ok(digest_of(&document)));
}

#[test]
fn idr_01_a_changed_document_or_statement_is_seen() {
    let key = key();
    let keys = [key.public().clone()];
    let good = version(1, None, &key);
    assert_eq!(verify_version(&good, &keys), Ok(()));

    let mut changed = good.clone();
    changed.document = document("changed");
    assert_eq!(
        verify_version(&changed, &keys),
        Err(VersionError::DocumentChanged(1))
    );
    changed.digest = digest_of(&changed.document);
    assert_eq!(
        verify_version(&changed, &keys),
        Err(VersionError::BadSignature(1))
    );

    let mut renumbered = good.clone();
    renumbered.number = 2;
    assert_eq!(
        verify_version(&renumbered, &keys),
        Err(VersionError::BadSignature(2))
    );

    let mut moved = good.clone();
    moved.agent_id = "agt_01hzy0000000000000000000ab".parse().expect("an id");
    assert_eq!(
        verify_version(&moved, &keys),
        Err(VersionError::BadSignature(1))
    );

    let other = [self::key().public().clone()];
    assert_eq!(
        verify_version(&good, &other),
        Err(VersionError::UnknownKey(1))
    );

    let mut retyped = good.clone();
    let claims = serde_json::to_vec(&Statement::of(&good)).expect("JSON");
    retyped.signature = jws::sign(&key, "at+jwt", &claims);
    assert_eq!(
        verify_version(&retyped, &keys),
        Err(VersionError::BadSignature(1))
    );
}

#[test]
fn idr_02_a_chain_grows_and_every_link_holds() {
    let key = key();
    let keys = [key.public().clone()];
    let one = version(1, None, &key);
    let two = version(2, Some(one.digest), &key);
    let four = version(4, Some(two.digest), &key);
    let chain = [one.clone(), two.clone(), four.clone()];
    assert_eq!(verify_chain(None, &chain, &keys), Ok(()));
    assert_eq!(verify_chain(None, &[], &keys), Ok(()));
    assert_eq!(verify_chain(Some(&one), &chain[1..], &keys), Ok(()));
    let later = verify_chain(Some(&two), &chain[1..], &keys);
    assert_eq!(later, Err(VersionError::NumberNotGrowing(2)));
    let skipped = verify_chain(Some(&one), &chain[2..], &keys);
    assert_eq!(skipped, Err(VersionError::Unlinked(4)));

    let gap = [one.clone(), four.clone()];
    assert_eq!(
        verify_chain(None, &gap, &keys),
        Err(VersionError::Unlinked(4))
    );
    let headless = [two.clone(), four];
    assert_eq!(
        verify_chain(None, &headless, &keys),
        Err(VersionError::Unlinked(2))
    );
    let again = [one.clone(), version(1, Some(one.digest), &key)];
    assert_eq!(
        verify_chain(None, &again, &keys),
        Err(VersionError::NumberNotGrowing(1))
    );
    let zero = [version(0, None, &key)];
    assert_eq!(
        verify_chain(None, &zero, &keys),
        Err(VersionError::NumberNotGrowing(0))
    );

    let mut stranger = two;
    stranger.agent_id = "agt_01hzy0000000000000000000ab".parse().expect("an id");
    stranger.signature = sign_version(&Statement::of(&stranger), &key);
    let mixed = [one, stranger];
    assert_eq!(
        verify_chain(None, &mixed, &keys),
        Err(VersionError::OtherAgent(2))
    );
}
