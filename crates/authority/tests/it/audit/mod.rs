//! The room `audit`: the record, its log, receipts, and what shows when someone tampers.

mod find;
mod receipts;
pub(crate) mod record;
mod serve;
pub(crate) mod tamper;

use chancery_ledger::note::NoteVerifier;
use chancery_ledger::receipt::Receipt;
use serde_json::Value;

use crate::house::House;
use crate::request::ask;

/// The key that signs the log, as a stranger pins it.
pub(crate) async fn log_key(house: &House) -> NoteVerifier {
    let text = house.send(ask("GET", "/log/key")).await.text();
    text.trim_end().parse().expect("a verifier key")
}

/// Holds a receipt to be one that a stranger accepts; the event that it proves.
pub(crate) async fn verify_receipt(house: &House, receipt: &Value) -> Value {
    let entry = receipt["entry"].as_str().expect("an entry");
    let proof = receipt["proof"].as_str().expect("a proof");
    let parsed = Receipt::from_tlog_proof(entry.as_bytes().to_vec(), proof).expect("a receipt");
    let verified = parsed.verify(&[log_key(house).await]).expect("proven");
    assert_eq!(
        verified.index(),
        receipt["index"].as_u64().expect("an index")
    );
    serde_json::from_str(entry).expect("an event")
}
