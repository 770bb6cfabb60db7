//! `log verify`: whether the record is what was signed, and if not, where not.

use std::path::{Path, PathBuf};

use chancery_api::log::Receipt;
use chancery_client::authority::Authority;
use chancery_client::error::ClientError;
use chancery_ledger::audit::{Finding, VerifiedCopy};
use chancery_ledger::checkpoint::Checkpoint;
use chancery_ledger::note::NoteVerifier;
use chancery_ledger::path::CHECKPOINT;
use chancery_ledger::receipt;
use chancery_model::event::Event;
use chancery_wire::json;
use clap::Args;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::copy::{self, Verdict};
use super::export::open;
use super::trust::{self, KEY_FILE, Trust};
use crate::documents::{read, read_within};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::{self, Facts};
use crate::session::Session;

/// More than a full bundle of the longest entries.
const MAX_FILE: usize = 32 * 1024 * 1024;

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A downloaded copy, as `log export` makes it
    #[arg(long, value_name = "COPY", conflicts_with = "receipt")]
    dir: Option<PathBuf>,
    /// A receipt, or what a stop printed with `--json`; `-` is the standard input
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// The verifier key of the log, `name+id+key`
    #[arg(long, value_name = "VKEY", value_parser = trust::parse)]
    key: Option<NoteVerifier>,
    /// A checkpoint of the same log from before, which the record must extend
    #[arg(long, value_name = "FILE", conflicts_with = "receipt")]
    since: Option<PathBuf>,
}

pub(super) async fn run(session: &Session, args: &Verify) -> Result<Exit, Failure> {
    if let Some(path) = &args.receipt {
        return verify_receipt(session, args, path);
    }
    let (trust, judged) = match &args.dir {
        Some(folder) => {
            let trust = key_for_copy(session, args, folder)?;
            let older = older(args, &trust)?;
            let judged = judge_folder(folder, &trust, &older)?;
            (trust, judged)
        }
        None => {
            let authority = session.authority()?;
            let trust = key_for_authority(session, args, &authority).await?;
            let older = older(args, &trust)?;
            let judged = judge_authority(&authority, &trust, older).await?;
            (trust, judged)
        }
    };
    match judged {
        Ok(copy) => holds(session, &copy, &trust),
        Err(Verdict::Altered(finding)) => altered(session, &finding, &trust),
        Err(Verdict::Unreadable(why)) => Err(Failure::unreadable(why)),
    }
}

type Judged = Result<VerifiedCopy, Verdict>;

fn key_for_copy(session: &Session, args: &Verify, folder: &Path) -> Result<Trust, Failure> {
    if let Some(trust) = trust::pinned(session, args.key.as_ref())? {
        return Ok(trust);
    }
    let path = folder.join(KEY_FILE);
    match trust::from_file(&path)? {
        Some(verifier) => Ok(trust::unpinned(
            session,
            verifier,
            "the copy itself".to_owned(),
        )),
        None => Err(Failure::unreadable("the key of the log is not known")
            .with_fix("give it with `--key`: `chancery status` prints it as log key")),
    }
}

async fn key_for_authority(
    session: &Session,
    args: &Verify,
    authority: &Authority,
) -> Result<Trust, Failure> {
    if let Some(trust) = trust::pinned(session, args.key.as_ref())? {
        return Ok(trust);
    }
    trust::told(session, authority).await
}

fn older(args: &Verify, trust: &Trust) -> Result<Vec<Checkpoint>, Failure> {
    let since = args.since.as_deref();
    since
        .map(|path| open(&read(path)?, trust))
        .transpose()
        .map(Vec::from_iter)
}

fn judge_folder(folder: &Path, trust: &Trust, older: &[Checkpoint]) -> Result<Judged, Failure> {
    if !folder.join(CHECKPOINT).is_file() {
        let message = format!(
            "{} is no copy of a log: it has no checkpoint",
            folder.display()
        );
        return Err(
            Failure::unreadable(message).with_fix("make one with `chancery log export --out DIR`")
        );
    }
    let source = |path: &str| {
        let path = folder.join(path);
        if !path.try_exists().map_err(|error| error.to_string())? {
            return Ok(None);
        }
        read_within(&path, MAX_FILE)
            .map(Some)
            .map_err(|failure| failure.text())
    };
    Ok(copy::judge(source, &trust.verifier, older))
}

/// Verifies the record of a running authority, with no more of it in memory than the walk needs.
///
/// The walk is not asynchronous, so it runs beside the calls and asks for one file after another.
async fn judge_authority(
    authority: &Authority,
    trust: &Trust,
    older: Vec<Checkpoint>,
) -> Result<Judged, Failure> {
    type Wanted = (String, oneshot::Sender<Option<Vec<u8>>>);
    if older.is_empty() && authority.log_file(CHECKPOINT).await?.is_none() {
        return Err(Failure::unreadable("nothing of the record is sealed yet")
            .with_fix("ask again in a moment; `chancery status` says how many entries wait"));
    }
    let (ask, mut asked) = mpsc::channel::<Wanted>(1);
    let verifier = trust.verifier.clone();
    let walk = tokio::task::spawn_blocking(move || {
        let source = |path: &str| {
            let (reply, answer) = oneshot::channel();
            ask.blocking_send((path.to_owned(), reply))
                .map_err(|_| "nobody fetches any more")?;
            answer.blocking_recv().map_err(|_| "it was not fetched")
        };
        copy::judge(source, &verifier, &older)
    });
    let mut failed: Option<ClientError> = None;
    while let Some((path, reply)) = asked.recv().await {
        match authority.log_file(&path).await {
            // The walk may have ended already; then nobody waits for this.
            Ok(found) => drop(reply.send(found.map(Vec::from))),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    drop(asked);
    let judged = walk
        .await
        .map_err(|error| Failure::unreadable(format!("the walk ended early: {error}")))?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(judged),
    }
}

fn holds(session: &Session, copy: &VerifiedCopy, trust: &Trust) -> Result<Exit, Failure> {
    let checkpoint = copy.checkpoint();
    let json = json!({
        "ok": true,
        "origin": checkpoint.origin(),
        "size": copy.size(),
        "root": copy.root().to_base64(),
        "log_key": trust.verifier.vkey(),
        "pinned": trust.pinned,
    });
    session.output.show(&json, || {
        Facts::new()
            .styled(
                "ok",
                "every entry is the one that was signed, and none is missing".to_owned(),
            )
            .add("origin", checkpoint.origin())
            .add("entries", copy.size())
            .add("root", copy.root().to_base64())
            .add("key from", &trust.source)
            .render()
    })?;
    Ok(Exit::Done)
}

/// Prints what is wrong and where: the answer of a check that failed, so it goes to the standard output.
fn altered(session: &Session, finding: &Finding, trust: &Trust) -> Result<Exit, Failure> {
    let json = json!({
        "ok": false,
        "index": finding.index,
        "why": finding.why,
        "pinned": trust.pinned,
    });
    session.output.show(&json, || {
        let facts = Facts::new().styled("ok", layout::status("deny").replace("deny", "no"));
        facts
            .maybe("entry", finding.index)
            .add("why", &finding.why)
            .add("key from", &trust.source)
            .render()
    })?;
    Ok(Exit::Refused)
}

fn verify_receipt(session: &Session, args: &Verify, path: &Path) -> Result<Exit, Failure> {
    let receipt = read_receipt(path)?;
    let trust = match trust::pinned(session, args.key.as_ref())? {
        Some(trust) => trust,
        None => {
            let verifier = trust::parse(&receipt.log_key).map_err(|why| {
                Failure::unreadable(format!("{}: `log_key`: {why}", path.display()))
            })?;
            trust::unpinned(session, verifier, "the receipt itself".to_owned())
        }
    };
    let event = match proved(&receipt, &trust) {
        Ok(event) => event,
        Err(why) => {
            let index = Some(receipt.index);
            return altered(session, &Finding { index, why }, &trust);
        }
    };
    let json = json!({
        "ok": true,
        "index": receipt.index,
        "event": event,
        "log_key": trust.verifier.vkey(),
        "pinned": trust.pinned,
    });
    session.output.show(&json, || {
        Facts::new()
            .styled("ok", "the record holds this event".to_owned())
            .add("entry", receipt.index)
            .add("event", event.id)
            .add("time", layout::moment(event.at))
            .add("entry text", &receipt.entry)
            .add("key from", &trust.source)
            .render()
    })?;
    Ok(Exit::Done)
}

/// The event that a receipt proves, or why it proves none.
fn proved(receipt: &Receipt, trust: &Trust) -> Result<Event, String> {
    let entry = receipt.entry.clone().into_bytes();
    let proof = receipt::Receipt::from_tlog_proof(entry, &receipt.proof)
        .map_err(|error| error.to_string())?;
    if proof.index != receipt.index {
        return Err(format!(
            "the receipt says entry {}, its proof entry {}",
            receipt.index, proof.index
        ));
    }
    let verified = proof
        .verify(std::slice::from_ref(&trust.verifier))
        .map_err(|error| {
            let source = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            format!("{error}{}", source.unwrap_or_default())
        })?;
    copy::event(verified.entry()).map_err(|why| format!("entry {} {why}", receipt.index))
}

/// A receipt alone, or within the answer of a stop.
fn read_receipt(path: &Path) -> Result<Receipt, Failure> {
    let wrong = |why: String| Failure::unreadable(format!("{}: {why}", path.display()));
    let mut value =
        json::parse(&read(path)?, json::BODY).map_err(|error| wrong(error.to_string()))?;
    let inner = value.get_mut("receipt").map(Value::take);
    serde_json::from_value(inner.unwrap_or(value))
        .map_err(|error| wrong(format!("not a receipt: {error}")))
}

#[cfg(test)]
mod tests;
