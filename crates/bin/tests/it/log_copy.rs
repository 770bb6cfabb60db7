//! The log as a stranger holds it: downloaded piece by piece, verified whole.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use chancery_ledger::audit::{Finding, VerifiedCopy, verify_copy};
use chancery_ledger::checkpoint::Checkpoint;
use chancery_ledger::note::NoteVerifier;
use chancery_ledger::path::{BundleId, TileId};
use serde_json::Value;

use crate::caller::Caller;

/// What was downloaded of the log; full tiles and bundles never change, so they are fetched once.
pub(crate) struct LogCopy {
    files: HashMap<String, Vec<u8>>,
    key: NoteVerifier,
    seen: Vec<Checkpoint>,
}

/// A log that verified, and what is in it.
pub(crate) struct Audited {
    pub(crate) copy: VerifiedCopy,
    /// The ids of its events.
    pub(crate) events: BTreeSet<String>,
    /// The ids of the tokens that were issued.
    pub(crate) tokens: BTreeSet<String>,
}

impl LogCopy {
    /// A copy of nothing yet, of the log of this data folder.
    pub(crate) fn new(data: &Path) -> Self {
        let key = std::fs::read_to_string(data.join("log.key")).expect("the log's key");
        Self {
            files: HashMap::new(),
            key: key.trim_end().parse().expect("a verifier key"),
            seen: Vec::new(),
        }
    }

    /// Another copy of nothing yet, by someone who remembers what this one has seen.
    pub(crate) fn anew(&self) -> Self {
        Self {
            files: HashMap::new(),
            key: self.key.clone(),
            seen: self.seen.clone(),
        }
    }

    /// The log's key.
    pub(crate) fn key(&self) -> &NoteVerifier {
        &self.key
    }

    /// Downloads what is new and verifies all of it, against what was seen before too.
    pub(crate) async fn audit(&mut self, caller: &Caller) -> Audited {
        self.try_audit(caller)
            .await
            .unwrap_or_else(|finding| panic!("entry {:?}: {finding}", finding.index))
    }

    /// The same, when the log may be found to be another one, or not to be readable.
    pub(crate) async fn try_audit(&mut self, caller: &Caller) -> Result<Audited, Finding> {
        let note = self.fetch(caller, "checkpoint").await?;
        let note = String::from_utf8_lossy(&note).into_owned();
        let size = note.lines().nth(1).expect("a size");
        let size: u64 = size.parse().expect("a number");
        for level in 0..3 {
            for index in 0.. {
                let Some(tile) = TileId::in_tree(level, index, size) else {
                    break;
                };
                self.need(caller, tile.path()).await?;
            }
        }
        for index in 0.. {
            let Some(bundle) = BundleId::in_tree(index, size) else {
                break;
            };
            self.need(caller, bundle.path()).await?;
        }
        let (mut events, mut tokens) = (BTreeSet::new(), BTreeSet::new());
        let files = &self.files;
        let copy = verify_copy(
            &mut |path| Ok::<_, String>(files.get(path).cloned()),
            std::slice::from_ref(&self.key),
            &self.seen,
            &mut |index, entry| {
                let event: Value =
                    serde_json::from_slice(entry).map_err(|error| error.to_string())?;
                if event["kind"] == "token.issued" {
                    let jti = event["token"]["jti"].as_str().unwrap_or_default();
                    tokens.insert(jti.to_owned());
                }
                let is_new = events.insert(event["id"].as_str().unwrap_or_default().to_owned());
                is_new
                    .then_some(())
                    .ok_or_else(|| format!("entry {index} is there twice"))
            },
        )?;
        self.seen = vec![copy.checkpoint().clone()];
        Ok(Audited {
            copy,
            events,
            tokens,
        })
    }

    async fn need(&mut self, caller: &Caller, path: String) -> Result<(), Finding> {
        if !self.files.contains_key(&path) {
            self.fetch(caller, &path).await?;
        }
        Ok(())
    }

    async fn fetch(&mut self, caller: &Caller, path: &str) -> Result<Vec<u8>, Finding> {
        let answer = caller
            .ask("GET", &format!("/log/{path}"), Value::Null)
            .await;
        if answer.status != 200 {
            let why = format!("{path} is answered with {}", answer.status);
            return Err(Finding { index: None, why });
        }
        self.files.insert(path.to_owned(), answer.body.to_vec());
        Ok(answer.body.to_vec())
    }
}
