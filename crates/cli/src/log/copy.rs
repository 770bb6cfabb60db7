//! Judging a log: the ledger checks hashes and signatures, this checks that what was signed is a record of events.

use std::fmt::Display;
use std::time::Duration;

use chancery_ledger::audit::{Finding, VerifiedCopy, verify_copy};
use chancery_ledger::checkpoint::Checkpoint;
use chancery_ledger::note::NoteVerifier;
use chancery_model::event::Event;
use chancery_model::time::Timestamp;
use chancery_wire::json;

/// How far behind an earlier entry an entry's time may be: events are stamped before they queue for their place.
const SLACK: Duration = Duration::from_secs(5 * 60);

/// Why a log was not accepted.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It was altered.
    Altered(Finding),
    /// It could not be read.
    Unreadable(String),
}

/// Verifies the log that `source` reads by path.
pub(super) fn judge<E: Display>(
    mut source: impl FnMut(&str) -> Result<Option<Vec<u8>>, E>,
    verifier: &NoteVerifier,
    older: &[Checkpoint],
) -> Result<VerifiedCopy, Verdict> {
    let mut unreadable = None;
    let mut read = |path: &str| {
        source(path).map_err(|error| {
            let why = format!("cannot read {path}: {error}");
            unreadable = Some(why.clone());
            why
        })
    };
    let verifiers = std::slice::from_ref(verifier);
    let mut observer = Observer::default();
    let judged = verify_copy(&mut read, verifiers, older, &mut |index, entry| {
        observer.see(index, entry)
    });
    // A file that could not be read is no evidence of anything, whatever it was needed for.
    judged.map_err(|finding| match unreadable {
        Some(why) => Verdict::Unreadable(why),
        None => Verdict::Altered(finding),
    })
}

/// What was seen of the entries so far.
#[derive(Default)]
struct Observer {
    latest: Option<Timestamp>,
}

impl Observer {
    fn see(&mut self, index: u64, entry: &[u8]) -> Result<(), String> {
        let event = event(entry).map_err(|why| format!("entry {index} {why}"))?;
        if let Some(latest) = self.latest
            && event.at.after(SLACK) < latest
        {
            let back = latest.since(event.at).as_secs();
            return Err(format!(
                "entry {index} is back-dated: its time is {back} s before that of an earlier entry"
            ));
        }
        self.latest = self.latest.max(Some(event.at));
        Ok(())
    }
}

/// The event that an entry is, when it is one in canonical form.
pub(super) fn event(entry: &[u8]) -> Result<Event, String> {
    let event: Event =
        json::parse_as(entry, json::BODY).map_err(|error| format!("is no event: {error}"))?;
    if event.to_canonical_json().as_bytes() != entry {
        return Err("is an event, but not in canonical form".to_owned());
    }
    Ok(event)
}
