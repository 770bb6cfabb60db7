//! Passkeys, invitations, recovery codes and sessions: what is used once is used once, and ends with what began it.

use std::time::Duration;

use chancery_model::author::Author;
use chancery_model::digest::Digest;
use chancery_model::id::{PasskeyId, SessionId};
use chancery_model::owner::Owner;
use chancery_store::connect::Store;
use chancery_store::error::StoreError;
use chancery_store::invitations::Invitation;
use chancery_store::passkeys::Passkey;
use chancery_store::recovery_codes::RecoveryCode;
use chancery_store::sessions::{Means, Session};
use chancery_store::tx::Tx;
use chancery_store::{invitations, owners, passkey_challenges, passkeys, recovery_codes, sessions};

use crate::make::{self, Counter, NOW};
use crate::place::everywhere;

const HOUR: Duration = Duration::from_secs(3_600);

fn passkey(owner: &Owner, credential: &str) -> Passkey {
    Passkey {
        id: PasskeyId::generate(NOW, &Counter),
        owner_id: owner.id,
        credential_id: credential.to_owned(),
        public_jwk: "{}".to_owned(),
        counter: 0,
        is_backup_eligible: true,
        name: "laptop".to_owned(),
        makers: vec![Author::LocalAdministrator],
        roles: vec!["operator".to_owned(), "auditor".to_owned()],
        created_at: NOW,
        used_at: None,
    }
}

fn session(owner: &Owner, passkey: &Passkey, byte: u8) -> Session {
    Session {
        id: SessionId::generate(NOW, &Counter),
        secret_hash: Digest::from_bytes([byte; 32]),
        owner_id: owner.id,
        means: Means::Passkey(passkey.id),
        authenticated_at: Some(passkey.created_at),
        makers: passkey.makers.clone(),
        roles: passkey.roles.clone(),
        began_at: NOW,
        used_at: NOW,
        ends_at: NOW.after(HOUR),
    }
}

async fn begin(store: &Store) -> Tx {
    store.begin().await.expect("a transaction")
}

async fn commit(tx: Tx) {
    tx.commit(make::event(), Vec::new())
        .await
        .expect("a commit");
}

async fn person(store: &Store, handle: &str) -> Owner {
    let owner = make::person(handle);
    let mut tx = begin(store).await;
    owners::insert(&mut tx, &owner).await.expect("an owner");
    commit(tx).await;
    owner
}

#[tokio::test]
async fn what_was_written_is_read_back() {
    everywhere(async |place| {
        let store = place.open().await;
        let owner = person(&store, "alice@example.com").await;
        let passkey = passkey(&owner, "AAAA");
        let session = session(&owner, &passkey, 1);
        let code = RecoveryCode {
            secret_hash: Digest::from_bytes([2; 32]),
            owner_id: owner.id,
            passkey_id: passkey.id,
            makers: passkey.makers.clone(),
            roles: passkey.roles.clone(),
            created_at: NOW,
        };
        let invitation = Invitation {
            secret_hash: Digest::from_bytes([3; 32]),
            owner_id: owner.id,
            makers: passkey.makers.clone(),
            roles: passkey.roles.clone(),
            created_at: NOW,
            expires_at: NOW.after(HOUR),
        };
        let mut tx = begin(&store).await;
        passkeys::insert(&mut tx, &passkey).await.expect("a row");
        sessions::insert(&mut tx, &session).await.expect("a row");
        recovery_codes::insert(&mut tx, &code).await.expect("a row");
        invitations::insert(&mut tx, &invitation)
            .await
            .expect("a row");
        commit(tx).await;
        let mut tx = begin(&store).await;
        let found = passkeys::fetch_by_credential(&mut tx, "AAAA").await;
        assert_eq!(found.expect("a row"), Some(passkey.clone()));
        let found = passkeys::list_for_owner(&mut tx, owner.id).await;
        assert_eq!(found.expect("rows"), [passkey]);
        let found = sessions::list_live(&mut tx, NOW).await.expect("rows");
        assert_eq!(found, std::slice::from_ref(&session));
        let found = sessions::list_live(&mut tx, session.ends_at).await;
        assert_eq!(found.expect("rows"), []);
        let found = recovery_codes::fetch_open(&mut tx, code.secret_hash).await;
        assert_eq!(found.expect("a row"), Some(code));
        let hash = invitation.secret_hash;
        let found = invitations::fetch_open(&mut tx, hash, NOW).await;
        assert_eq!(found.expect("a row"), Some(invitation));
        let found = invitations::fetch_open(&mut tx, hash, NOW.after(HOUR)).await;
        assert_eq!(found.expect("a row"), None);
    })
    .await;
}

#[tokio::test]
async fn wan_02_challenge_is_used_once_and_forgotten_after_its_end() {
    everywhere(async |place| {
        let store = place.open().await;
        let hash = Digest::from_bytes([1; 32]);
        let end = NOW.after(HOUR);
        let mut tx = begin(&store).await;
        let first = passkey_challenges::use_once(&mut tx, hash, end, NOW).await;
        assert!(first.expect("a row"));
        commit(tx).await;
        let mut tx = begin(&store).await;
        let again = passkey_challenges::use_once(&mut tx, hash, end, end).await;
        assert!(!again.expect("a row"));
        let other = Digest::from_bytes([2; 32]);
        let later = end.after(HOUR);
        let other = passkey_challenges::use_once(&mut tx, other, later, later).await;
        assert!(other.expect("a row"));
        commit(tx).await;
        let left = place.number("SELECT count(*) FROM passkey_challenge").await;
        assert_eq!(left, 1);
    })
    .await;
}

#[tokio::test]
async fn wan_06_credential_is_one_persons_also_after_it_was_revoked() {
    everywhere(async |place| {
        let store = place.open().await;
        let alice = person(&store, "alice@example.com").await;
        let bob = person(&store, "bob@example.com").await;
        let of_alice = passkey(&alice, "AAAA");
        let mut tx = begin(&store).await;
        passkeys::insert(&mut tx, &of_alice).await.expect("a row");
        commit(tx).await;
        for _ in 0..2 {
            let mut tx = begin(&store).await;
            let refused = passkeys::insert(&mut tx, &passkey(&bob, "AAAA")).await;
            assert!(
                matches!(refused, Err(StoreError::Constraint)),
                "{refused:?}"
            );
            drop(tx);
            let mut tx = begin(&store).await;
            // Nobody ends or renames what is another's.
            let theirs = passkeys::revoke(&mut tx, bob.id, of_alice.id, NOW).await;
            assert!(!theirs.expect("no row"));
            let theirs = passkeys::rename(&mut tx, bob.id, of_alice.id, "mine").await;
            assert!(!theirs.expect("no row"));
            let _gone = passkeys::revoke(&mut tx, alice.id, of_alice.id, NOW).await;
            commit(tx).await;
        }
        let mut tx = begin(&store).await;
        let found = passkeys::fetch_by_credential(&mut tx, "AAAA").await;
        assert_eq!(found.expect("no row"), None);
    })
    .await;
}

#[tokio::test]
async fn counter_is_taken_from_where_it_was_read() {
    everywhere(async |place| {
        let store = place.open().await;
        let owner = person(&store, "alice@example.com").await;
        let passkey = passkey(&owner, "AAAA");
        let mut tx = begin(&store).await;
        passkeys::insert(&mut tx, &passkey).await.expect("a row");
        let first = passkeys::mark_used(&mut tx, &passkey, 7, NOW).await;
        assert!(first.expect("a row"));
        let second = passkeys::mark_used(&mut tx, &passkey, 7, NOW).await;
        assert!(!second.expect("no row"));
    })
    .await;
}

#[tokio::test]
async fn passkey_ends_its_sessions_and_codes_and_those_of_others_stay() {
    everywhere(async |place| {
        let store = place.open().await;
        let owner = person(&store, "alice@example.com").await;
        let (one, two) = (passkey(&owner, "AAAA"), passkey(&owner, "BBBB"));
        let mut tx = begin(&store).await;
        for (byte, passkey) in [(1, &one), (2, &two)] {
            passkeys::insert(&mut tx, passkey).await.expect("a row");
            let session = session(&owner, passkey, byte);
            sessions::insert(&mut tx, &session).await.expect("a row");
            let code = RecoveryCode {
                secret_hash: Digest::from_bytes([byte; 32]),
                owner_id: owner.id,
                passkey_id: passkey.id,
                makers: Vec::new(),
                roles: Vec::new(),
                created_at: NOW,
            };
            recovery_codes::insert(&mut tx, &code).await.expect("a row");
        }
        let ended = sessions::end_for_passkey(&mut tx, one.id, NOW).await;
        assert_eq!(ended.expect("a count"), 1);
        let ended = recovery_codes::end_for_passkey(&mut tx, one.id, NOW).await;
        assert_eq!(ended.expect("a count"), 1);
        let left = sessions::list_for_owner(&mut tx, owner.id, NOW).await;
        let left = left.expect("rows");
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].means, Means::Passkey(two.id));
        let used = recovery_codes::use_once(&mut tx, Digest::from_bytes([2; 32]), NOW).await;
        assert!(used.expect("a row"));
        let again = recovery_codes::use_once(&mut tx, Digest::from_bytes([2; 32]), NOW).await;
        assert!(!again.expect("no row"));
        assert_eq!(
            recovery_codes::count_open(&mut tx, owner.id)
                .await
                .expect("a count"),
            0
        );
        let ended = sessions::end_for_owner(&mut tx, owner.id, NOW).await;
        assert_eq!(ended.expect("a count"), 1);
    })
    .await;
}
