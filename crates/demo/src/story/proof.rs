//! Chapters 11 and 12: the record is checked without trusting anybody, and a lie in it is found.

use chancery_api::agents::Stopped;
use chancery_ledger::note::NoteVerifier;
use chancery_ledger::receipt::Receipt;
use chancery_model::event::{Event, EventKind};
use serde_json::Value;

use crate::story::copy::{self, Copy, CopyError};
use crate::story::narrator::Narrator;
use crate::story::opening::Desk;
use crate::story::process;
use crate::story::{Failure, Scene};

/// The name of the folder, within the authority's data, that the copy goes into.
const FOLDER: &str = "record-copy";

/// How often the record may grow under the hands of the one who downloads it.
const TRIES: u32 = 5;

pub(super) async fn verify(
    scene: &Scene<'_>,
    tell: &mut Narrator<'_>,
    desk: &Desk,
    stopped: &Stopped,
) -> Result<Copy, Failure> {
    tell.begin(
        "The record is checked",
        "The receipt is verified with nothing but the log's key, noted when the story began. Then the whole record \
         is downloaded, and a process that knows only the copy and the key verifies it.",
    )?;
    let key: NoteVerifier = tell.must(desk.log_key.parse(), "the log's key")?;
    let claimed = &stopped.receipt;
    let receipt = Receipt::from_tlog_proof(claimed.entry.clone().into_bytes(), &claimed.proof);
    let receipt = tell.must(receipt, "a receipt")?;
    let verified = tell.must(
        receipt.verify(std::slice::from_ref(&key)),
        "a receipt that verifies",
    )?;
    let event: Event = tell.must(
        serde_json::from_slice(verified.entry()),
        "an event in the receipt",
    )?;
    let about = event
        .agent
        .as_ref()
        .map(|agent| agent.id.to_string())
        .unwrap_or_default();
    let fits = event.kind == EventKind::AgentSuspended
        && about == stopped.id
        && verified.index() == claimed.index;
    tell.expect(fits, "a receipt for this very stop", || {
        claimed.entry.clone()
    })?;
    tell.good(
        "receipt",
        format!(
            "holds: entry {} of {}, agent.suspended, under a checkpoint of {}",
            verified.index(),
            verified.checkpoint().size(),
            verified.checkpoint().origin(),
        ),
    )?;

    let folder = scene.stage.data.join(FOLDER);
    let mut downloaded = copy::download(&scene.authority, &key, &folder).await;
    for _ in 1..TRIES {
        // The end of a log that grew meanwhile is served under another name: begin again at its new checkpoint.
        if !matches!(downloaded, Err(CopyError::Absent(_))) {
            break;
        }
        downloaded = copy::download(&scene.authority, &key, &folder).await;
    }
    let copy = tell.must(downloaded, "a copy of the record")?;
    tell.expect(
        copy.entries > claimed.index,
        "a copy that reaches the stop",
        || copy.entries.to_string(),
    )?;
    tell.fact(
        "downloaded",
        format!("{} entries in {} files", copy.entries, copy.files),
    )?;
    let verdict = process::verify(&scene.stage.program, &copy.folder, &desk.log_key).await;
    let verdict = tell.must(verdict, "a verdict of the verifier")?;
    let ok = verdict.code == Some(0) && verdict.report["ok"] == true;
    tell.expect(ok, "exit 0 and `ok`", || format!("{verdict:?}"))?;
    tell.good("verifier", "ok, exit 0")?;
    tell.end()?;
    Ok(copy)
}

pub(super) async fn tamper(
    scene: &Scene<'_>,
    tell: &mut Narrator<'_>,
    desk: &Desk,
    copy: &Copy,
) -> Result<(), Failure> {
    tell.begin(
        "Somebody rewrites history",
        "One bit of one byte in the middle of the copy is flipped, and the verifier runs again.",
    )?;
    let tampered = tell.must(copy::tamper(copy).await, "a byte to flip")?;
    tell.fact("row", format!("{} in {}", tampered.index, tampered.path))?;
    tell.fact("it said", tampered.before)?;
    tell.fact("it says", tampered.after)?;
    let verdict = process::verify(&scene.stage.program, &copy.folder, &desk.log_key).await;
    let verdict = tell.must(verdict, "a verdict of the verifier")?;
    let why = verdict
        .report
        .get("why")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let found = verdict.code == Some(1)
        && verdict.report["ok"] == false
        && verdict.report["index"] == tampered.index;
    let expected = format!("exit 1 and row {}", tampered.index);
    tell.expect(found, &expected, || format!("{verdict:?}"))?;
    tell.refused("verifier", format!("exit 1: row {}: {why}", tampered.index))?;
    tell.end()
}
