//! People enrol passkeys by invitation, sign in with them, and end them.

use std::time::Duration;

use serde_json::{Value, json};

use super::authenticator::{Authenticator, Browser, id_of, invite, secret_of, signed_in};
use crate::house::{ADMIN, House, ISSUER};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";
const MINUTE: Duration = Duration::from_secs(60);

/// A refusal at the door tells nobody what was wrong; the record knows.
async fn last_outcome(house: &House) -> Value {
    house.last_event("request.refused").await["outcome"].clone()
}

#[tokio::test]
async fn person_enrols_by_invitation_signs_out_and_signs_in_without_a_name() {
    let house = House::found().await;
    let (mut browser, mut passkey) = signed_in(&house, ALICE, &["administrator"]).await;
    let me = browser.get(&house, "/v1/whoami").await.ok();
    assert_eq!(me["id"], ALICE);
    assert_eq!(me["signed_in_with"], "passkey");
    assert_eq!(me["issued_by"], "local-administrator");
    assert_eq!(me["roles"], json!(["administrator"]));
    browser.get(&house, "/v1/agents").await.ok();

    let left = browser
        .post(&house, "/v1/sessions/current/end", Value::Null)
        .await;
    left.ok();
    assert!(left.header("set-cookie").contains("Max-Age=0"), "{left:?}");
    assert_eq!(browser.cookie, "");

    let answer = browser.sign_in(&house, &mut passkey).await;
    assert_eq!(answer.ok()["id"], ALICE);
    let cookie = answer.header("set-cookie");
    for part in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    browser.get(&house, "/v1/agents").await.ok();

    let kinds: Vec<Value> = house.events().await;
    let kinds: Vec<&str> = kinds
        .iter()
        .filter_map(|event| event["kind"].as_str())
        .filter(|kind| {
            ["person.", "passkey.", "session."]
                .iter()
                .any(|own| kind.starts_with(own))
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "person.invited",
            "passkey.enrolled",
            "session.began",
            "session.ended",
            "session.began"
        ]
    );
    let began = house.last_event("session.began").await;
    assert_eq!(began["actor"], json!({"id": ALICE, "kind": "human"}));
    assert_eq!(began["facts"]["signed_in_with"], "passkey");
}

#[tokio::test]
async fn roles_of_a_session_are_those_of_the_invitation_and_policies_judge_them() {
    let house = House::found().await;
    let (mut browser, _) = signed_in(&house, ALICE, &["auditor"]).await;
    browser.get(&house, "/v1/agents").await.ok();
    let body = json!({"handle": BOB});
    browser
        .post(&house, "/v1/owners", body)
        .await
        .refused(403, "access_denied");
}

#[tokio::test]
async fn invitation_is_good_once_for_its_time_and_the_last_one_counts() {
    let house = House::found().await;
    house.add_person(ALICE).await;
    let first = invite(&house, ADMIN, ALICE, &["operator"]).await;
    let second = invite(&house, ADMIN, ALICE, &["operator"]).await;
    let mut browser = Browser::default();
    let stale = browser
        .accept(&house, &first, &mut Authenticator::new("a"))
        .await;
    stale.refused(401, "sign_in_refused");
    browser
        .accept(&house, &second, &mut Authenticator::new("b"))
        .await
        .ok();
    let again = Browser::default()
        .accept(&house, &second, &mut Authenticator::new("c"))
        .await;
    again.refused(401, "sign_in_refused");
    assert_eq!(last_outcome(&house).await, "invitation_unknown");
    let third = invite(&house, ADMIN, ALICE, &["operator"]).await;
    house.advance(Duration::from_secs(86_400)).await;
    let late = Browser::default()
        .accept(&house, &third, &mut Authenticator::new("d"))
        .await;
    late.refused(401, "sign_in_refused");
    let made = "/v1/owners/alice@example.com/invitations";
    for bad in [
        json!({"roles": []}),
        json!({"roles": ["root"]}),
        json!({"roles": ["auditor"], "lifetime": 59}),
        json!({"roles": ["auditor"], "lifetime": 604_801}),
    ] {
        house
            .admin("POST", made, bad)
            .await
            .refused(400, "invalid_request");
    }
    let stored = house
        .database
        .texts("SELECT secret_hash FROM invitation")
        .await;
    assert!(stored.iter().all(|hash| hash.starts_with("sha256:")));
}

#[tokio::test]
async fn wan_01_an_assertion_that_does_not_hold_changes_nothing() {
    let house = House::found().await;
    let (mut browser, mut passkey) = signed_in(&house, ALICE, &["operator"]).await;
    let before = browser.get(&house, "/v1/passkeys").await.ok();
    let mut stranger = Browser::default();
    let options = stranger
        .post(&house, "/v1/sign-in/options", Value::Null)
        .await
        .ok();
    let good = passkey.get(&options);
    let swapped = |name: &str, value: Value| {
        let mut credential = good.clone();
        credential[name] = value;
        json!({"credential": credential})
    };
    let other = passkey.get(&json!({"challenge": "AAAA"}));
    let mut answers = Vec::new();
    for (body, outcome) in [
        (swapped("id", json!("AAAA")), "credential_unknown"),
        (
            swapped("signature", other["signature"].clone()),
            "bad_signature",
        ),
        (swapped("user_handle", json!("AAAA")), "user_mismatch"),
        (swapped("authenticator_data", json!("AAAA")), "malformed"),
    ] {
        let answer = stranger.post(&house, "/v1/sign-in", body).await;
        answer.refused(401, "sign_in_refused");
        assert_eq!(answer.header("set-cookie"), "");
        assert_eq!(last_outcome(&house).await, outcome);
        answers.push(answer.bytes);
        house.advance_unseen(Duration::from_millis(100));
    }
    answers.dedup();
    assert_eq!(
        answers.len(),
        1,
        "an unknown and a wrong passkey are told apart"
    );
    assert_eq!(browser.get(&house, "/v1/passkeys").await.ok(), before);
    // Two names of one credential cannot be said.
    let body = swapped("rawId", json!("AAAA"));
    stranger
        .post(&house, "/v1/sign-in", body)
        .await
        .refused(400, "invalid_request");
    let body = json!({"credential": good});
    stranger.post(&house, "/v1/sign-in", body).await.ok();
}

#[tokio::test]
async fn wan_02_a_challenge_is_ours_fresh_and_answered_once() {
    let house = House::found().await;
    let (mut browser, mut passkey) = signed_in(&house, ALICE, &["operator"]).await;
    let options = browser
        .post(&house, "/v1/sign-in/options", Value::Null)
        .await
        .ok();
    let body = json!({"credential": passkey.get(&options)});
    Browser::default()
        .post(&house, "/v1/sign-in", body.clone())
        .await
        .ok();
    let mut stranger = Browser::default();
    let refuse = async |stranger: &mut Browser, body: Value, outcome: &str| {
        let answer = stranger.post(&house, "/v1/sign-in", body).await;
        answer.refused(401, "sign_in_refused");
        assert_eq!(last_outcome(&house).await, outcome);
    };
    refuse(&mut stranger, body.clone(), "challenge_used").await;
    // Also at another process, and also with another signature over the same challenge.
    let beside = house.beside(2).await;
    let other = json!({"credential": passkey.get(&options)});
    let answer = stranger.post(&beside, "/v1/sign-in", other).await;
    answer.refused(401, "sign_in_refused");
    let chosen = json!({"credential": passkey.get(&json!({"challenge": "A".repeat(54)}))});
    refuse(&mut stranger, chosen, "challenge_unknown").await;
    let mut with_challenge = body;
    with_challenge["challenge"] = options["challenge"].clone();
    let answer = stranger.post(&house, "/v1/sign-in", with_challenge).await;
    answer.refused(400, "invalid_request");
    let options = stranger
        .post(&house, "/v1/sign-in/options", Value::Null)
        .await
        .ok();
    house.advance(5 * MINUTE + Duration::from_secs(1)).await;
    let late = json!({"credential": passkey.get(&options)});
    refuse(&mut stranger, late, "challenge_expired").await;
}

#[tokio::test]
async fn wan_03_pages_of_other_origins_sign_nobody_in() {
    let house = House::found().await;
    let (_, mut passkey) = signed_in(&house, ALICE, &["operator"]).await;
    let mut browser = Browser::default();
    for origin in [
        "https://evil.console.example",
        "http://id.example",
        "https://id.example:8443",
        "https://a.id.example",
    ] {
        passkey.origin = origin.to_owned();
        let answer = browser.sign_in(&house, &mut passkey).await;
        answer.refused(401, "sign_in_refused");
        assert_eq!(last_outcome(&house).await, "origin_mismatch", "{origin}");
    }
    passkey.origin = ISSUER.to_owned();
    passkey.cross_origin = true;
    browser
        .sign_in(&house, &mut passkey)
        .await
        .refused(401, "sign_in_refused");
    assert_eq!(last_outcome(&house).await, "cross_origin");
    passkey.cross_origin = false;
    passkey.rp_id = "example".to_owned();
    browser
        .sign_in(&house, &mut passkey)
        .await
        .refused(401, "sign_in_refused");
    assert_eq!(last_outcome(&house).await, "rp_id_mismatch");
    passkey.rp_id = "id.example".to_owned();
    browser.sign_in(&house, &mut passkey).await.ok();
}

#[tokio::test]
async fn wan_04_person_who_was_not_verified_neither_enrols_nor_signs_in() {
    let house = House::found().await;
    house.add_person(ALICE).await;
    let invitation = invite(&house, ADMIN, ALICE, &["operator"]).await;
    let (mut browser, mut passkey) = (Browser::default(), Authenticator::new(ALICE));
    for (flags, outcome) in [(0x01, "user_not_verified"), (0x04, "user_not_present")] {
        passkey.flags = flags;
        let answer = browser.accept(&house, &invitation, &mut passkey).await;
        answer.refused(401, "sign_in_refused");
        assert_eq!(last_outcome(&house).await, outcome);
    }
    passkey.flags = 0x05;
    // The invitation was not used up by what failed.
    browser.accept(&house, &invitation, &mut passkey).await.ok();
    passkey.flags = 0x01;
    let mut other = Browser::default();
    other
        .sign_in(&house, &mut passkey)
        .await
        .refused(401, "sign_in_refused");
    assert_eq!(last_outcome(&house).await, "user_not_verified");
    passkey.flags = 0x05;
    other.sign_in(&house, &mut passkey).await.ok();
}

#[tokio::test]
async fn wan_05_what_one_ceremony_signed_is_worthless_in_another() {
    let house = House::found().await;
    let (mut alice, mut of_alice) = signed_in(&house, ALICE, &["operator"]).await;
    let (mut bob, _) = signed_in(&house, BOB, &["operator"]).await;
    // A challenge to enrol does not sign in, and one to sign in does not enrol.
    let to_enrol = alice
        .post(&house, "/v1/passkeys/options", Value::Null)
        .await
        .ok();
    let body = json!({"credential": of_alice.get(&to_enrol)});
    let answer = alice.post(&house, "/v1/sign-in", body).await;
    answer.refused(401, "sign_in_refused");
    assert_eq!(last_outcome(&house).await, "challenge_unknown");
    let mut to_sign_in = to_enrol.clone();
    to_sign_in["challenge"] = alice
        .post(&house, "/v1/sign-in/options", Value::Null)
        .await
        .ok()["challenge"]
        .clone();
    let mut second = Authenticator::new("second");
    let body = json!({"name": "x", "credential": second.create(&to_sign_in)});
    let answer = alice.post(&house, "/v1/passkeys", body).await;
    answer.refused(401, "sign_in_refused");
    // What alice was asked to enrol is not enrolled for bob.
    let body = json!({"name": "x", "credential": second.create(&to_enrol)});
    let answer = bob.post(&house, "/v1/passkeys", body.clone()).await;
    answer.refused(401, "sign_in_refused");
    assert_eq!(last_outcome(&house).await, "challenge_unknown");
    alice.post(&house, "/v1/passkeys", body).await.ok();
}

#[tokio::test]
async fn wan_06_a_credential_is_one_persons() {
    let house = House::found().await;
    let (mut alice, mut of_alice) = signed_in(&house, ALICE, &["operator"]).await;
    let (mut bob, mut of_bob) = signed_in(&house, BOB, &["operator"]).await;
    // Bob's key with alice's handle, and bob's key under alice's credential.
    let own_handle = std::mem::replace(&mut of_bob.user_handle, of_alice.user_handle.clone());
    let mut stranger = Browser::default();
    stranger
        .sign_in(&house, &mut of_bob)
        .await
        .refused(401, "sign_in_refused");
    assert_eq!(last_outcome(&house).await, "user_mismatch");
    let own_id = std::mem::replace(&mut of_bob.id, of_alice.id.clone());
    stranger
        .sign_in(&house, &mut of_bob)
        .await
        .refused(401, "sign_in_refused");
    assert_eq!(last_outcome(&house).await, "bad_signature");
    // A credential that exists is enrolled for nobody else, not even when it was revoked.
    let taken = bob.enrol(&house, &mut of_bob).await;
    taken.refused(409, "conflict");
    alice
        .enrol(&house, &mut Authenticator::new("second"))
        .await
        .ok();
    let list = alice.get(&house, "/v1/passkeys").await.ok();
    let first = id_of(&list, "laptop");
    let revoked = alice
        .post(&house, &format!("/v1/passkeys/{first}/revoke"), Value::Null)
        .await;
    revoked.ok();
    bob.enrol(&house, &mut of_bob)
        .await
        .refused(409, "conflict");
    (of_bob.user_handle, of_bob.id) = (own_handle, own_id);
    stranger.sign_in(&house, &mut of_bob).await.ok();
    stranger
        .sign_in(&house, &mut of_alice)
        .await
        .refused(401, "sign_in_refused");
    assert_eq!(last_outcome(&house).await, "credential_unknown");
}

#[tokio::test]
async fn passkey_whose_counter_does_not_grow_may_be_a_copy_and_is_refused() {
    let house = House::found().await;
    let (_, mut passkey) = signed_in(&house, ALICE, &["operator"]).await;
    let mut browser = Browser::default();
    passkey.counter = 5;
    browser.sign_in(&house, &mut passkey).await.ok();
    for counter in [5, 4, 0] {
        passkey.counter = counter;
        let answer = browser.sign_in(&house, &mut passkey).await;
        answer.refused(401, "sign_in_refused");
    }
    let refused = house.last_event("request.refused").await;
    assert_eq!(refused["outcome"], "counter_not_grown");
    assert!(
        refused["facts"]["passkey"]
            .as_str()
            .expect("an id")
            .starts_with("pky_")
    );
    passkey.counter = 6;
    browser.sign_in(&house, &mut passkey).await.ok();
}

#[tokio::test]
async fn passkeys_are_listed_renamed_and_revoked_with_what_they_began() {
    let house = House::found().await;
    let (mut alice, mut first) = signed_in(&house, ALICE, &["operator"]).await;
    let mut second = Authenticator::new("second");
    let made = alice.enrol(&house, &mut second).await.ok();
    assert_eq!(made["name"], "phone");
    let mut elsewhere = Browser::default();
    elsewhere.sign_in(&house, &mut second).await.ok();
    let id = made["id"].as_str().expect("an id");
    let path = format!("/v1/passkeys/{id}");
    let body = json!({"name": " the phone "});
    let renamed = alice
        .post(&house, &format!("{path}/rename"), body)
        .await
        .ok();
    assert_eq!(renamed["name"], "the phone");
    for bad in ["", " ", "a\u{7}", &"x".repeat(61)] {
        let answer = alice
            .post(&house, &format!("{path}/rename"), json!({"name": bad}))
            .await;
        answer.refused(400, "invalid_request");
    }
    let seen = house.get("/v1/owners/alice@example.com/passkeys").await;
    assert_eq!(seen["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(id_of(&seen, "the phone"), id);
    let sessions = house.get("/v1/owners/alice@example.com/sessions").await;
    assert_eq!(sessions["items"].as_array().map(Vec::len), Some(2));

    elsewhere.get(&house, "/v1/agents").await.ok();
    alice
        .post(&house, &format!("{path}/revoke"), Value::Null)
        .await
        .ok();
    elsewhere
        .get(&house, "/v1/agents")
        .await
        .refused(401, "unauthenticated");
    elsewhere
        .sign_in(&house, &mut second)
        .await
        .refused(401, "sign_in_refused");
    alice.get(&house, "/v1/agents").await.ok();
    elsewhere.sign_in(&house, &mut first).await.ok();
    let revoked = house.last_event("passkey.revoked").await;
    assert_eq!(revoked["facts"]["sessions_ended"], "1");
    // Whoever manages owners can do it too, with a reason.
    let list = house.get("/v1/owners/alice@example.com/passkeys").await;
    let id = list["items"][0]["id"].as_str().expect("an id");
    let path = format!("/v1/owners/alice@example.com/passkeys/{id}/revoke");
    house
        .admin("POST", &path, json!({"reason": "lost"}))
        .await
        .ok();
    alice
        .get(&house, "/v1/agents")
        .await
        .refused(401, "unauthenticated");
    house
        .admin("POST", &path, json!({"reason": "lost"}))
        .await
        .refused(404, "not_found");
}

#[tokio::test]
async fn passkey_of_another_person_is_nobody_elses_to_touch() {
    let house = House::found().await;
    let (mut alice, _) = signed_in(&house, ALICE, &["administrator"]).await;
    let (mut bob, _) = signed_in(&house, BOB, &["operator"]).await;
    let of_bob = bob.get(&house, "/v1/passkeys").await.ok();
    let id = of_bob["items"][0]["id"].as_str().expect("an id");
    for (path, body) in [
        (format!("/v1/passkeys/{id}/revoke"), Value::Null),
        (format!("/v1/passkeys/{id}/rename"), json!({"name": "mine"})),
    ] {
        alice
            .post(&house, &path, body)
            .await
            .refused(404, "not_found");
    }
    let sessions = bob.get(&house, "/v1/sessions").await.ok();
    let id = sessions["items"][0]["id"].as_str().expect("an id");
    let path = format!("/v1/sessions/{id}/end");
    alice
        .post(&house, &path, Value::Null)
        .await
        .refused(404, "not_found");
    bob.get(&house, "/v1/agents").await.ok();
}

/// Whoever invites could follow the link first, so what it leads to counts as theirs too.
#[tokio::test]
async fn idr_06_person_who_was_invited_is_no_second_person_to_whoever_invited() {
    let house = House::found().await;
    let (mut alice, _) = signed_in(&house, ALICE, &["administrator"]).await;
    alice
        .post(&house, "/v1/owners", json!({"handle": BOB}))
        .await
        .ok();
    let made = alice
        .post(
            &house,
            "/v1/owners/bob@example.com/invitations",
            json!({"roles": ["approver"]}),
        )
        .await
        .ok();
    assert_eq!(made["issued_by"], ALICE);
    let mut bob = Browser::default();
    bob.accept(&house, &secret_of(&made), &mut Authenticator::new(BOB))
        .await
        .ok();
    let me = bob.get(&house, "/v1/whoami").await.ok();
    assert_eq!(me["issued_by"], ALICE);
    // More passkeys and recovery codes hand it on.
    let mut second = Authenticator::new("second");
    bob.enrol(&house, &mut second).await.ok();
    let codes = bob
        .post(&house, "/v1/recovery-codes", Value::Null)
        .await
        .ok();
    let mut recovered = Browser::default();
    let code = json!({"code": codes["codes"][0]});
    recovered
        .post(&house, "/v1/sign-in/recovery", code)
        .await
        .ok();
    let mut third = Authenticator::new("third");
    recovered.enrol(&house, &mut third).await.ok();
    let (mut carol, _) = signed_in(&house, "carol@example.com", &["approver"]).await;

    let document = json!({"name": "refund-bot", "owner": ALICE});
    let draft = json!({"document": document});
    let draft = alice.post(&house, "/v1/agents", draft).await.ok();
    assert_eq!(draft["status"], "draft");
    let path = "/v1/agents/refund-bot/activate";
    for passkey in [&mut second, &mut third] {
        let mut browser = Browser::default();
        browser.sign_in(&house, passkey).await.ok();
        assert_eq!(
            browser.get(&house, "/v1/whoami").await.ok()["issued_by"],
            ALICE
        );
        browser
            .post(&house, path, Value::Null)
            .await
            .refused(403, "access_denied");
    }
    bob.post(&house, path, Value::Null)
        .await
        .refused(403, "access_denied");
    carol.post(&house, path, Value::Null).await.ok();
}

#[tokio::test]
async fn web_07_how_people_sign_in_is_changed_by_who_signed_in_just_now() {
    let house = House::found().await;
    let (mut alice, mut passkey) = signed_in(&house, ALICE, &["operator"]).await;
    let list = alice.get(&house, "/v1/passkeys").await.ok();
    let id = list["items"][0]["id"].as_str().expect("an id").to_owned();
    let login = house.login(ALICE, &["operator"]).await;
    let acts = ["/v1/passkeys/options", "/v1/recovery-codes"].map(str::to_owned);
    let acts = acts
        .into_iter()
        .chain([format!("/v1/passkeys/{id}/revoke")]);
    house.advance(5 * MINUTE + Duration::from_secs(1)).await;
    for path in acts.clone() {
        let answer = alice.post(&house, &path, Value::Null).await;
        let problem = answer.refused(403, "sign_in_again");
        assert!(problem["fix"].is_string(), "{problem}");
        assert_eq!(last_outcome(&house).await, "sign_in_again");
        // A login that somebody else had made is never enough.
        let answer = house.as_login(&login, "POST", &path, Value::Null).await;
        answer.refused(403, "access_denied");
        let answer = house.admin("POST", &path, Value::Null).await;
        answer.refused(403, "access_denied");
    }
    alice.get(&house, "/v1/agents").await.ok();
    alice.sign_in(&house, &mut passkey).await.ok();
    for path in acts {
        alice.post(&house, &path, Value::Null).await.ok();
    }
}

#[tokio::test]
async fn dos_05_who_only_asks_leaves_nothing_behind() {
    let house = House::found().await;
    let (_, mut passkey) = signed_in(&house, ALICE, &["operator"]).await;
    passkey.key = Authenticator::new("thief").key;
    let mut stranger = Browser::default();
    let tables = [
        "passkey_challenge",
        "session",
        "passkey",
        "recovery_code",
        "invitation",
    ];
    let count = async || {
        let mut rows = Vec::new();
        for table in tables {
            let column = if table == "passkey_challenge" {
                "hash"
            } else {
                "owner_id"
            };
            let sql = format!("SELECT {column} FROM {table}");
            rows.push(house.database.texts(&sql).await.len());
        }
        rows
    };
    let before = count().await;
    for _ in 0..150 {
        let answer = stranger.sign_in(&house, &mut passkey).await;
        answer.refused(401, "sign_in_refused");
        let code = json!({"code": "00000-00000-00000-00000"});
        let answer = stranger.post(&house, "/v1/sign-in/recovery", code).await;
        answer.refused(401, "sign_in_refused");
    }
    assert_eq!(count().await, before);
    // In one second no more than a hundred lines of the record.
    let refused = house.events_of("request.refused").await;
    assert_eq!(refused.len(), 100);
}
