//! Receipts: an entry with the proof that a log holds it, which a stranger verifies offline (C2SP tlog-proof).

use crate::checkpoint::{Checkpoint, CheckpointError, VerifiedCheckpoint};
use crate::hash::{Hash, leaf_hash};
use crate::note::NoteVerifier;
use crate::proof::{ProofError, verify_inclusion};
use crate::text::{base64, parse_base64, parse_decimal};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// An entry and the claim that a log holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The bytes of the entry.
    pub entry: Vec<u8>,
    /// The entry's index in the log.
    pub index: u64,
    /// The inclusion proof, from the leaf's sibling up.
    pub proof: Vec<Hash>,
    /// The signed note with the checkpoint that the proof leads to.
    pub checkpoint: String,
    /// Data for the application's own use, which nothing authenticates.
    pub extra: Option<Vec<u8>>,
}

/// An entry that a signed checkpoint of a trusted log commits to; only [`Receipt::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedReceipt {
    entry: Vec<u8>,
    index: u64,
    checkpoint: VerifiedCheckpoint,
}

/// A receipt that is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The text is not a tlog-proof.
    #[error("not a c2sp.org/tlog-proof@v1: {0}")]
    Malformed(&'static str),
    /// The checkpoint is not that of a trusted log.
    #[error("the receipt's checkpoint is not accepted")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint does not commit to the entry at this index.
    #[error("the receipt's proof is not accepted")]
    Proof(#[from] ProofError),
}

impl Receipt {
    /// Checks the checkpoint's signature by the log and the proof that leads from the entry to its root.
    pub fn verify(&self, verifiers: &[NoteVerifier]) -> Result<VerifiedReceipt, ReceiptError> {
        let verified = Checkpoint::open(&self.checkpoint, verifiers)?;
        let head = verified.checkpoint();
        verify_inclusion(
            &leaf_hash(&self.entry),
            self.index,
            head.size(),
            &self.proof,
            &head.root(),
        )?;
        Ok(VerifiedReceipt {
            entry: self.entry.clone(),
            index: self.index,
            checkpoint: verified,
        })
    }

    /// Prints the tlog-proof: all of the receipt but the entry.
    pub fn to_tlog_proof(&self) -> String {
        let mut text = format!("{HEADER}\n");
        if let Some(extra) = &self.extra {
            text.push_str(&format!("extra {}\n", base64(extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        for hash in &self.proof {
            text.push_str(&format!("{hash}\n"));
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Parses a tlog-proof about `entry`.
    pub fn from_tlog_proof(entry: Vec<u8>, text: &str) -> Result<Self, ReceiptError> {
        let (proof, checkpoint) = text
            .split_once("\n\n")
            .ok_or(ReceiptError::Malformed("no blank line"))?;
        let mut lines = proof.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(ReceiptError::Malformed("another first line"));
        }
        let extra = match lines.next_if(|line| line.starts_with("extra ")) {
            Some(line) => Some(
                parse_base64(&line["extra ".len()..])
                    .ok_or(ReceiptError::Malformed("extra is not base64"))?,
            ),
            None => None,
        };
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(parse_decimal);
        let index = index.ok_or(ReceiptError::Malformed("no index"))?;
        let proof = lines.map(Hash::from_base64).collect::<Result<_, _>>();
        let proof =
            proof.map_err(|_| ReceiptError::Malformed("a line of the proof is not a hash"))?;
        Ok(Self {
            entry,
            index,
            proof,
            checkpoint: checkpoint.to_owned(),
            extra,
        })
    }
}

impl VerifiedReceipt {
    /// The bytes of the entry that the log holds.
    pub fn entry(&self) -> &[u8] {
        &self.entry
    }

    /// The index of the entry in the log.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The checkpoint that commits to the entry.
    pub fn checkpoint(&self) -> &Checkpoint {
        self.checkpoint.checkpoint()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::appender::Appender;
    use crate::hash::empty_root;
    use crate::note::{NoteError, NoteSigner};
    use crate::proof::inclusion;

    fn signer() -> NoteSigner {
        NoteSigner::from_seed("log.example", &[1; 32]).unwrap()
    }

    /// The receipt for the entry at `index` in a log of `size` small entries.
    fn receipt(index: u64, size: u64) -> Receipt {
        let mut appender = Appender::new();
        for entry in 0..size {
            appender.append(leaf_hash(&entry.to_be_bytes()));
        }
        let rows: Vec<_> = appender
            .take_changed()
            .into_iter()
            .map(|(id, tile)| (id, tile.row()))
            .collect();
        let proof = inclusion(index, size, |id| {
            rows.iter()
                .find(|row| row.0 == id)
                .map(|row| &row.1)
                .ok_or(id)
        });
        let checkpoint = Checkpoint::new("log.example", size, appender.root()).unwrap();
        Receipt {
            entry: index.to_be_bytes().to_vec(),
            index,
            proof: proof.unwrap(),
            checkpoint: checkpoint.sign(&signer()).unwrap(),
            extra: None,
        }
    }

    #[test]
    fn a_receipt_survives_its_text_form_and_verifies() {
        let receipt = receipt(300, 1000);
        let text = receipt.to_tlog_proof();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 300\n"));
        let read = Receipt::from_tlog_proof(receipt.entry.clone(), &text).unwrap();
        assert_eq!(read, receipt);
        let verified = read.verify(&[signer().verifier().clone()]).unwrap();
        assert_eq!(
            (verified.index(), verified.entry()),
            (300, 300u64.to_be_bytes().as_slice())
        );
        assert_eq!(verified.checkpoint().size(), 1000);
    }

    #[test]
    fn a_receipt_for_anything_else_is_refused() {
        let verifiers = [signer().verifier().clone()];
        let good = receipt(3, 10);
        let check = |change: fn(&mut Receipt), expected: ReceiptError| {
            let mut changed = good.clone();
            change(&mut changed);
            assert_eq!(changed.verify(&verifiers), Err(expected));
        };
        check(
            |receipt| receipt.entry[0] ^= 1,
            ReceiptError::Proof(ProofError::Root),
        );
        check(
            |receipt| receipt.index = 2,
            ReceiptError::Proof(ProofError::Root),
        );
        check(
            |receipt| receipt.index = 10,
            ReceiptError::Proof(ProofError::NoSuchIndex),
        );
        check(
            |receipt| receipt.proof.truncate(3),
            ReceiptError::Proof(ProofError::Length),
        );
        check(
            |receipt| receipt.proof.push(empty_root()),
            ReceiptError::Proof(ProofError::Length),
        );
        let note = |error| ReceiptError::Checkpoint(CheckpointError::Note(error));
        check(
            |receipt| receipt.checkpoint = receipt.checkpoint.replace("\n10\n", "\n11\n"),
            note(NoteError::BadSignature),
        );
        check(
            |receipt| receipt.checkpoint.clear(),
            note(NoteError::Malformed),
        );
        assert_eq!(good.verify(&[]), Err(note(NoteError::Untrusted)));
        // `extra` is nobody's word: it changes nothing.
        let with_extra = Receipt {
            extra: Some(b"anything".to_vec()),
            ..good.clone()
        };
        assert!(with_extra.verify(&verifiers).is_ok());
    }

    #[test]
    fn malformed_texts_are_refused() {
        let hash = empty_root();
        let check = |text: &str| {
            let read = Receipt::from_tlog_proof(Vec::new(), text);
            assert!(matches!(read, Err(ReceiptError::Malformed(_))), "{text:?}");
        };
        check("");
        check("\n\n");
        check("c2sp.org/tlog-proof@v2\nindex 0\n\nnote\n");
        check(" c2sp.org/tlog-proof@v1\nindex 0\n\nnote\n");
        check("c2sp.org/tlog-proof@v1\n\nnote\n");
        check("c2sp.org/tlog-proof@v1\nindex 0\n");
        check("c2sp.org/tlog-proof@v1\nindex 00\n\nnote\n");
        check("c2sp.org/tlog-proof@v1\nindex -1\n\nnote\n");
        check("c2sp.org/tlog-proof@v1\nindex  1\n\nnote\n");
        check("c2sp.org/tlog-proof@v1\nindex 1\r\n\nnote\n");
        check("c2sp.org/tlog-proof@v1\nextra !\nindex 0\n\nnote\n");
        check("c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA\n\nnote\n");
        check("c2sp.org/tlog-proof@v1\nextra AAAA\nextra AAAA\nindex 0\n\nnote\n");
        check(&format!(
            "c2sp.org/tlog-proof@v1\nindex 0\n{}\n\nnote\n",
            hash.to_hex()
        ));
        check(&format!(
            "c2sp.org/tlog-proof@v1\nindex 0\n{hash}\n{hash}x\n\nnote\n"
        ));
    }

    proptest! {
        #[test]
        fn printing_then_parsing_is_identity(
            index: u64, hashes: Vec<[u8; 32]>, extra: Option<Vec<u8>>, checkpoint: String, entry: Vec<u8>,
        ) {
            let proof = hashes.into_iter().map(Hash::from_bytes).collect();
            let receipt = Receipt { entry: entry.clone(), index, proof, checkpoint, extra };
            prop_assert_eq!(Receipt::from_tlog_proof(entry, &receipt.to_tlog_proof()), Ok(receipt));
        }

        #[test]
        fn any_text_parses_or_is_refused(text: String) {
            let _ = Receipt::from_tlog_proof(Vec::new(), &text);
            let _ = Receipt::from_tlog_proof(Vec::new(), &format!("{HEADER}\n{text}\n\n{text}"));
        }
    }
}
