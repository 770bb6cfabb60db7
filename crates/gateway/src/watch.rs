//! Watching for tools that are no longer what was accepted (MCP-03).
//!
//! A definition may change after a person accepted it. What the server says of its tools now is read
//! before the first call of a connection and again when the last reading is old; by then a call does
//! not wait for it. One reading at a time, never under a lock that a call holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use chancery_model::digest::Digest;
use chancery_wire::json;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::upstream::{Link, UpstreamError, list, within};

/// From this age on, a call renews the reading behind its back.
const AGEING: Duration = Duration::from_secs(20);
/// From this age on, a call waits for a new reading.
const STALE: Duration = Duration::from_secs(30);
/// How long a reading may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What one connection last saw of the tools of its server; a clone watches the same connection.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<Inner>);

#[derive(Default)]
struct Inner {
    seen: ArcSwapOption<Seen>,
    /// Held while one reads; what the last reading that failed came to, and when.
    reading: Mutex<Option<(Instant, UpstreamError)>>,
}

/// One reading.
pub(crate) struct Seen {
    at: Instant,
    digests: HashMap<String, Digest>,
}

impl Seen {
    /// Whether the server still defines the tool exactly as it was accepted.
    pub(crate) fn is_as_accepted(&self, tool: &str, accepted: Digest) -> bool {
        self.digests.get(tool) == Some(&accepted)
    }

    fn of(definitions: &[Value]) -> Self {
        let mut digests = HashMap::with_capacity(definitions.len());
        let mut twice = Vec::new();
        for definition in definitions {
            let name = definition.get("name").and_then(Value::as_str);
            // A definition without name or canonical form equals nothing that was accepted.
            let (Some(name), Ok(digest)) = (name, json::digest(definition)) else {
                continue;
            };
            if digests.insert(name.to_owned(), digest).is_some() {
                twice.push(name);
            }
        }
        // Two definitions of one name: nobody knows which one a call would reach.
        for name in twice {
            digests.remove(name);
        }
        Self {
            at: Instant::now(),
            digests,
        }
    }
}

impl Watch {
    /// Nothing is known any more; the next call waits for a new reading.
    pub(crate) fn forget(&self) {
        self.0.seen.store(None);
    }

    fn seen_within(&self, age: Duration) -> Option<Arc<Seen>> {
        let seen = self.0.seen.load_full()?;
        (seen.at.elapsed() < age).then_some(seen)
    }

    /// What `reading` finds, or what another one found or failed at while this one waited its turn.
    async fn renew(
        &self,
        age: Duration,
        reading: impl Future<Output = Result<Vec<Value>, UpstreamError>>,
    ) -> Result<Arc<Seen>, UpstreamError> {
        let asked_at = Instant::now();
        let mut failed = self.0.reading.lock().await;
        if let Some(seen) = self.seen_within(age) {
            return Ok(seen);
        }
        // Of a server that hangs, the tenth caller must not wait ten times as long as the first.
        if let Some((_, error)) = failed.as_ref().filter(|(at, _)| *at >= asked_at) {
            return Err(error.clone());
        }
        match reading.await {
            Ok(definitions) => {
                let seen = Arc::new(Seen::of(&definitions));
                self.0.seen.store(Some(Arc::clone(&seen)));
                Ok(seen)
            }
            Err(error) => {
                *failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

/// What the server of `link` says of its tools, at most [`STALE`] old.
pub(crate) async fn current(link: &Arc<Link>) -> Result<Arc<Seen>, UpstreamError> {
    let watch = &link.watch;
    if let Some(seen) = watch.seen_within(STALE) {
        if seen.at.elapsed() >= AGEING && watch.0.reading.try_lock().is_ok() {
            let link = Arc::clone(link);
            tokio::spawn(async move {
                if let Err(error) = read(&link, AGEING).await {
                    tracing::debug!(%error, "tools could not be read again");
                }
            });
        }
        return Ok(seen);
    }
    read(link, STALE).await
}

async fn read(link: &Link, age: Duration) -> Result<Arc<Seen>, UpstreamError> {
    let reading = within(PATIENCE, list::tools(link));
    link.watch.renew(age, reading).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn mcp_03_any_change_of_a_definition_is_seen() {
        let accepted = json!({"name": "add", "description": "adds", "inputSchema": {"type": "object"},
            "annotations": {"readOnlyHint": true}, "outputSchema": {"type": "object"}});
        let digest = json::digest(&accepted).expect("a digest");
        assert!(Seen::of(std::slice::from_ref(&accepted)).is_as_accepted("add", digest));
        for (place, value) in [
            ("/description", json!("adds.")),
            ("/inputSchema/type", json!("array")),
            ("/annotations/readOnlyHint", json!(false)),
            ("/outputSchema/type", json!("array")),
        ] {
            let mut changed = accepted.clone();
            *changed.pointer_mut(place).expect("a member") = value;
            assert!(
                !Seen::of(&[changed]).is_as_accepted("add", digest),
                "{place}"
            );
        }
        let twice = [accepted.clone(), accepted];
        assert!(!Seen::of(&twice).is_as_accepted("add", digest));
        assert!(!Seen::of(&[]).is_as_accepted("add", digest));
    }

    #[tokio::test]
    async fn who_waited_for_a_reading_that_failed_shares_its_failure() {
        let watch = Watch::default();
        let fails = async {
            tokio::task::yield_now().await;
            Err(UpstreamError::Timeout)
        };
        let second = async { panic!("a server that hangs was asked again") };
        let (first, second) = tokio::join!(watch.renew(STALE, fails), watch.renew(STALE, second));
        assert_eq!(first.err(), Some(UpstreamError::Timeout));
        assert_eq!(second.err(), Some(UpstreamError::Timeout));
        // Whoever comes later asks again.
        let again = watch.renew(STALE, async { Ok(Vec::new()) }).await;
        assert!(again.is_ok());
    }
}
