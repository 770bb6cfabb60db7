//! Revocations: in force as long as their tokens could be, and forgotten afterwards.

use std::time::Duration;

use chancery_model::id::TokenId;
use chancery_store::revocations;

use crate::make::{self, Counter, NOW};
use crate::place::everywhere;

#[tokio::test]
async fn revocation_is_in_force_until_the_token_ends_and_forgotten_a_while_later() {
    everywhere(async |place| {
        let store = place.open().await;
        let (short, long) = (
            TokenId::generate(NOW, &Counter),
            TokenId::generate(NOW, &Counter),
        );
        let end = |seconds| NOW.after(Duration::from_secs(seconds));
        let mut tx = store.begin().await.expect("a transaction");
        for (jti, end) in [(short, end(60)), (long, end(3_600))] {
            for is_first in [true, false] {
                let revoked = revocations::insert(&mut tx, jti, end, NOW).await;
                assert_eq!(revoked.expect("a row"), is_first);
            }
        }
        tx.commit(make::event(), Vec::new())
            .await
            .expect("a commit");
        let listed = async |now| {
            let mut tx = store.read().await.expect("a transaction");
            revocations::list(&mut tx, now).await.expect("rows").len()
        };
        assert_eq!(listed(NOW).await, 2);
        assert_eq!(listed(end(60)).await, 1);
        // A process whose clock is behind still needs it.
        let swept = async |now| revocations::sweep(&store, now).await.expect("swept");
        assert_eq!(swept(end(600)).await, 0);
        assert_eq!(listed(NOW).await, 2);
        assert_eq!(swept(end(661)).await, 1);
        assert_eq!(listed(NOW).await, 1);
        assert_eq!(swept(end(4_201)).await, 1);
    })
    .await;
}
