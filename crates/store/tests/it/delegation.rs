//! Steps of the journal: what an event uses up is used up with it, once.

use std::time::Duration;

use chancery_model::assurance::Acr;
use chancery_model::digest::Digest;
use chancery_model::grant::Grant;
use chancery_model::id::{AgentId, GrantId};
use chancery_model::scope::Scope;
use chancery_store::authentications::Authentication;
use chancery_store::codes::{self, Code};
use chancery_store::connect::Store;
use chancery_store::device_requests::{self, Answer, DeviceRequest, Entered};
use chancery_store::journal::{AppendError, Journal, Step};
use chancery_store::pushed_requests::{self, PushedRequest};
use chancery_store::refresh_tokens::{self, RefreshToken};
use chancery_store::wish::{Prompt, Wish};
use chancery_store::{grants, redirects, wrong_user_codes};

use crate::make::{self, Counter, NOW};
use crate::place::everywhere;

/// A grant between the inhabitants, with as many codes as there are `numbers`.
async fn granted(store: &Store, numbers: std::ops::Range<u8>) -> Grant {
    let (owner, agent) = make::inhabited(store).await;
    let grant = Grant {
        id: GrantId::generate(NOW, &Counter),
        subject: owner.id,
        agent: agent.id,
        version: Digest::from_bytes([1; 32]),
        resource: "https://r.example".to_owned(),
        scope: Scope::parse("read write").expect("a scope"),
        calls: None,
        binding: chancery_model::grant::Binding::Key,
        redirect_uri: "https://app.example/cb".to_owned(),
        created_at: NOW,
        expires_at: NOW.after(Duration::from_secs(86_400)),
        last_used_at: None,
        revoked_at: None,
    };
    let mut tx = store.begin().await.expect("a transaction");
    grants::insert(&mut tx, &grant).await.expect("a grant");
    for number in numbers {
        let code = Code {
            code_hash: hash(number),
            grant: grant.id,
            redirect_uri: grant.redirect_uri.clone(),
            challenge: "c".to_owned(),
            scope: grant.scope.clone(),
            calls: None,
            cnf: Some("k".to_owned()),
            auth_time: Some(NOW),
            authentication: Authentication {
                nonce: Some("n".to_owned()),
                acr: None,
                must_ask: false,
            },
            expires_at: NOW.after(Duration::from_secs(60)),
            used_at: None,
        };
        codes::insert(&mut tx, &code).await.expect("a code");
    }
    tx.commit(make::event(), Vec::new())
        .await
        .expect("a commit");
    grant
}

fn hash(number: u8) -> Digest {
    Digest::from_bytes([number; 32])
}

fn refresh(grant: &Grant, number: u8) -> RefreshToken {
    RefreshToken {
        token_hash: hash(number),
        grant: grant.id,
        scope: grant.scope.clone(),
        calls: None,
        cnf: "k".to_owned(),
        auth_time: None,
        authentication: Default::default(),
        idle_until: NOW.after(Duration::from_secs(3_600)),
        expires_at: grant.expires_at,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_01_of_fifty_uses_of_one_code_at_two_processes_exactly_one_wins() {
    everywhere(async |place| {
        let store = place.open().await;
        let grant = granted(&store, 0..200).await;
        let journals = [
            Journal::start(store.clone()),
            Journal::start(place.open().await),
        ];
        for round in 0..200 {
            let racing: Vec<_> = (0..50_u8)
                .map(|racer| {
                    let journal = journals[usize::from(racer % 2)].clone();
                    let mut token = refresh(&grant, 0);
                    token.token_hash =
                        Digest::from_bytes(std::array::from_fn(|place| match place {
                            0 => round,
                            1 => racer,
                            _ => 9,
                        }));
                    let step = Step::Redeem {
                        code: hash(round),
                        grant: grant.id,
                        refresh: Some(token),
                    };
                    tokio::spawn(async move {
                        journal.append_step(make::event(), Vec::new(), step).await
                    })
                })
                .collect();
            let mut won = 0;
            for racer in racing {
                match racer.await.expect("a task") {
                    Ok(()) => won += 1,
                    Err(error) => assert_eq!(error, AppendError::Lost),
                }
            }
            assert_eq!(won, 1, "round {round}");
        }
        let kept = place.number("SELECT count(*) FROM refresh_token").await;
        assert_eq!(kept, 200, "only winners leave a refresh token");
    })
    .await;
}

#[tokio::test]
async fn nothing_of_a_revoked_grant_is_used_whoever_asks() {
    everywhere(async |place| {
        let store = place.open().await;
        let grant = granted(&store, 0..3).await;
        let journal = Journal::start(store.clone());
        let redeem = |number: u8| Step::Redeem {
            code: hash(number),
            grant: grant.id,
            refresh: Some(refresh(&grant, 100 + number)),
        };
        let renew = || Step::Refresh {
            token: hash(100),
            grant: grant.id,
            idle_until: NOW.after(Duration::from_secs(7_200)),
        };
        let take = async |step| journal.append_step(make::event(), Vec::new(), step).await;
        assert_eq!(take(redeem(0)).await, Ok(()));
        assert_eq!(take(renew()).await, Ok(()));
        codes::burn(&store, hash(1), NOW).await.expect("burned");
        assert_eq!(take(redeem(1)).await, Err(AppendError::Lost));
        let mut tx = store.begin().await.expect("a transaction");
        assert!(
            grants::revoke(&mut tx, grant.id, NOW)
                .await
                .expect("revoked")
        );
        assert!(!grants::revoke(&mut tx, grant.id, NOW).await.expect("once"));
        tx.commit(make::event(), Vec::new())
            .await
            .expect("a commit");
        assert_eq!(take(redeem(2)).await, Err(AppendError::Lost));
        assert_eq!(take(renew()).await, Err(AppendError::Lost));
        let mut tx = store.read().await.expect("a transaction");
        let found = grants::fetch(&mut tx, grant.id)
            .await
            .expect("a row")
            .expect("a grant");
        assert_eq!(found.revoked_at, Some(NOW));
        assert_eq!(found.last_used_at, Some(NOW));
        let in_force = grants::list_in_force(&mut tx, NOW).await.expect("rows");
        assert_eq!(in_force, []);
        let between = grants::list_between(&mut tx, grant.subject, grant.agent, NOW);
        assert_eq!(between.await.expect("rows"), []);
        let all = grants::list(&mut tx, "", "", 10).await.expect("rows");
        assert_eq!(all, [found]);
        let burned = codes::fetch(&mut tx, hash(1))
            .await
            .expect("a row")
            .expect("a code");
        assert_eq!(burned.used_at, Some(NOW));
        assert_eq!(burned.auth_time, Some(NOW));
        let token = refresh_tokens::fetch(&mut tx, hash(100))
            .await
            .expect("a row")
            .expect("a token");
        assert_eq!(token.idle_until, NOW.after(Duration::from_secs(7_200)));
        drop(tx);
        let later = NOW.after(Duration::from_secs(200_000));
        assert_eq!(codes::sweep(&store, later).await.expect("swept"), 3);
        assert_eq!(
            refresh_tokens::sweep(&store, later).await.expect("swept"),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn request_is_pushed_opened_and_answered_once_in_its_time() {
    everywhere(async |place| {
        let store = place.open().await;
        let (owner, agent) = make::inhabited(&store).await;
        let journal = Journal::start(store.clone());
        let request = |number: u8| PushedRequest {
            uri_hash: hash(number),
            wish: Wish {
                agent: agent.id,
                resource: "https://r.example".to_owned(),
                scope: Scope::default(),
                calls: None,
                cnf: None,
                prompt: Prompt::Login,
                max_age: Some(Duration::from_secs(60)),
                authentication: Authentication {
                    nonce: Some("n".to_owned()),
                    acr: Some(Acr::PhishingResistant),
                    must_ask: false,
                },
                created_at: NOW,
                expires_at: NOW.after(Duration::from_secs(60)),
                answered: None,
            },
            redirect_uri: "http://127.0.0.1:7/cb".to_owned(),
            registered_uri: "http://127.0.0.1/cb".to_owned(),
            state: "s".to_owned(),
            challenge: "c".to_owned(),
        };
        let push = async |number, most| {
            let request = request(number);
            let step = Step::Push { request, most };
            journal.append_step(make::event(), Vec::new(), step).await
        };
        assert_eq!(push(1, 2).await, Ok(()));
        assert_eq!(push(2, 2).await, Ok(()));
        assert_eq!(push(3, 2).await, Err(AppendError::Lost));
        let fetch = async |number| {
            let mut tx = store.read().await.expect("a transaction");
            pushed_requests::fetch(&mut tx, hash(number))
                .await
                .expect("a row")
        };
        assert_eq!(fetch(1).await, Some(request(1)));
        assert_eq!(fetch(3).await, None);
        let answer = async |number, at| {
            let mut tx = store.begin().await.expect("a transaction");
            let answered = pushed_requests::answer(&mut tx, hash(number), owner.id, at).await;
            tx.commit(make::event(), Vec::new())
                .await
                .expect("a commit");
            answered.expect("a row")
        };
        let later = NOW.after(Duration::from_secs(300));
        assert!(!answer(1, later).await, "it was never opened");
        pushed_requests::open(&store, hash(2), NOW)
            .await
            .expect("opened");
        // Opening again, or too late, gives no more time.
        pushed_requests::open(&store, hash(2), later)
            .await
            .expect("opened");
        pushed_requests::open(&store, hash(1), later)
            .await
            .expect("nothing");
        assert!(!answer(1, later).await);
        assert!(answer(2, later).await);
        assert!(!answer(2, later).await, "once");
        let answered = fetch(2).await.expect("a request");
        assert_eq!(answered.wish.answered, Some((later, owner.id)));
        assert_eq!(
            answered.wish.expires_at,
            NOW.after(Duration::from_secs(600))
        );
        let end = NOW.after(Duration::from_secs(2_000));
        assert_eq!(pushed_requests::sweep(&store, end).await.expect("swept"), 2);
    })
    .await;
}

fn device(agent: AgentId, number: u8) -> DeviceRequest {
    DeviceRequest {
        code_hash: hash(number),
        user_code: hash(number + 100),
        wish: Wish {
            agent,
            resource: "https://r.example".to_owned(),
            scope: Scope::parse("read").expect("a scope"),
            calls: None,
            cnf: Some("k".to_owned()),
            prompt: Prompt::Ask,
            max_age: Some(Duration::from_secs(60)),
            authentication: Default::default(),
            created_at: NOW,
            expires_at: NOW.after(Duration::from_secs(600)),
            answered: None,
        },
        grant: None,
        auth_time: None,
        acr: None,
        used_at: None,
    }
}

#[tokio::test]
async fn device_waits_is_found_by_its_user_code_answered_and_collected_once() {
    everywhere(async |place| {
        let store = place.open().await;
        let grant = granted(&store, 0..0).await;
        let journal = Journal::start(store.clone());
        let take = async |step| journal.append_step(make::event(), Vec::new(), step).await;
        let wait = async |request: DeviceRequest| take(Step::Wait { request, most: 2 }).await;
        assert_eq!(wait(device(grant.agent, 1)).await, Ok(()));
        // A user code is of one device.
        let mut same = device(grant.agent, 2);
        same.user_code = hash(101);
        assert_eq!(wait(same).await, Err(AppendError::Lost));
        assert_eq!(wait(device(grant.agent, 2)).await, Ok(()));
        assert_eq!(wait(device(grant.agent, 3)).await, Err(AppendError::Lost));
        let enter = async |number: u8, now| {
            let entered = device_requests::enter(&store, hash(number + 100), grant.subject, now);
            entered.await.expect("an answer")
        };
        let end = NOW.after(Duration::from_secs(600));
        assert_eq!(
            enter(1, NOW).await,
            Entered::Waiting(Box::new(device(grant.agent, 1)))
        );
        assert_eq!(enter(3, NOW).await, Entered::Wrong);
        assert_eq!(enter(1, end).await, Entered::Wrong);
        let answer = async |number, at| {
            let mut tx = store.begin().await.expect("a transaction");
            let answer = Answer {
                by: grant.subject,
                at,
                grant: Some(grant.id),
                auth_time: Some(NOW),
                acr: Some(Acr::PhishingResistant),
            };
            let answered = device_requests::answer(&mut tx, hash(number), &answer).await;
            let committed = tx.commit(make::event(), Vec::new()).await;
            committed.expect("a commit");
            answered.expect("a row")
        };
        assert!(!answer(1, end).await, "too late");
        assert!(answer(1, NOW).await);
        assert!(!answer(1, NOW).await, "once");
        assert_eq!(enter(1, NOW).await, Entered::Wrong, "it has its answer");
        let mut tx = store.read().await.expect("a transaction");
        let found = device_requests::fetch(&mut tx, hash(1)).await;
        drop(tx);
        let found = found.expect("a row").expect("a request");
        assert_eq!(found.grant, Some(grant.id));
        assert_eq!(found.auth_time, Some(NOW));
        assert_eq!(found.wish.answered, Some((NOW, grant.subject)));
        let collect = async |number| {
            take(Step::Collect {
                code: hash(number),
                grant: grant.id,
                refresh: Some(refresh(&grant, number)),
            })
            .await
        };
        assert_eq!(collect(2).await, Err(AppendError::Lost), "no answer yet");
        assert_eq!(collect(1).await, Ok(()));
        assert_eq!(collect(1).await, Err(AppendError::Lost), "once");
        device_requests::burn(&store, hash(2), NOW)
            .await
            .expect("burnt");
        assert!(!answer(2, NOW).await, "nobody can use it any more");
        let kept = place.number("SELECT count(*) FROM refresh_token").await;
        assert_eq!(kept, 1);
        let swept = |now| device_requests::sweep(&store, now);
        let later = end.after(Duration::from_secs(86_401));
        assert_eq!(swept(end).await.expect("swept"), 0);
        assert_eq!(swept(later).await.expect("swept"), 2);
    })
    .await;
}

#[tokio::test]
async fn wrong_user_codes_are_counted_for_ten_minutes_also_of_those_who_come_at_once() {
    everywhere(async |place| {
        let store = place.open().await;
        let (owner, _) = make::inhabited(&store).await;
        let mut racing = Vec::new();
        for _ in 0..20 {
            let (store, by) = (place.open().await, owner.id);
            racing.push(tokio::spawn(async move {
                let mut attempts = 0;
                loop {
                    match device_requests::enter(&store, hash(1), by, NOW).await {
                        // Whoever lost to another tries again.
                        Err(error) if error.is_retryable() && attempts < 100 => attempts += 1,
                        entered => return entered.expect("an answer"),
                    }
                }
            }));
        }
        let mut wrong = 0;
        for racer in racing {
            match racer.await.expect("a task") {
                Entered::Wrong => wrong += 1,
                Entered::TooMany => {}
                Entered::Waiting(found) => panic!("{found:?}"),
            }
        }
        assert_eq!(wrong, 5);
        let later = NOW.after(Duration::from_secs(600));
        let entered = device_requests::enter(&store, hash(1), owner.id, later).await;
        assert_eq!(entered.expect("an answer"), Entered::Wrong);
        let end = later.after(Duration::from_secs(600));
        let swept = wrong_user_codes::sweep(&store, later).await;
        assert_eq!(swept.expect("swept"), 0);
        let swept = wrong_user_codes::sweep(&store, end).await;
        assert_eq!(swept.expect("swept"), 1);
    })
    .await;
}

#[tokio::test]
async fn redirect_uris_are_replaced_as_a_set() {
    everywhere(async |place| {
        let store = place.open().await;
        let (_, agent) = make::inhabited(&store).await;
        for uris in [&["a", "b"][..], &["b", "c"], &[]] {
            let uris: Vec<String> = uris.iter().map(|uri| (*uri).to_owned()).collect();
            let mut tx = store.begin().await.expect("a transaction");
            redirects::replace(&mut tx, agent.id, &uris)
                .await
                .expect("replaced");
            tx.commit(make::event(), Vec::new())
                .await
                .expect("a commit");
            let mut tx = store.read().await.expect("a transaction");
            assert_eq!(
                redirects::list(&mut tx, agent.id).await.expect("rows"),
                uris
            );
        }
    })
    .await;
}
