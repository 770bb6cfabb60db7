//! Checkpoints: a log's name, size and root as the text that the log signs (C2SP tlog-checkpoint).

use std::fmt;
use std::str::FromStr;

use crate::hash::{Hash, empty_root};
use crate::note::{NoteError, NoteSigner, NoteVerifier, open};
use crate::text::{is_printable, parse_decimal};

/// The head of a log: everything about its tree, as the log claims it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    // INVARIANT: one line that is not empty.
    origin: String,
    // INVARIANT: when the size is 0, the root is that of the empty tree.
    size: u64,
    root: Hash,
    // INVARIANT: lines that are not empty.
    extensions: Vec<String>,
}

/// A checkpoint that a trusted key of its log has signed; only [`Checkpoint::open`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCheckpoint(Checkpoint);

/// A checkpoint that is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The origin cannot be the first line of a note.
    #[error("an origin is one line of text that is not empty")]
    Origin,
    /// The size is not a canonical decimal.
    #[error("the tree size is not a decimal without leading zeros")]
    Size,
    /// The root is not the base64 of a hash.
    #[error("the root is not the base64 of a hash")]
    Root,
    /// A tree without entries has another root than the empty one.
    #[error("the root is not that of an empty tree")]
    EmptyRoot,
    /// The text is not made of lines that are not empty, each ended by a line feed.
    #[error("a checkpoint is at least three lines, none of them empty")]
    Lines,
    /// The signed note around the checkpoint is not accepted.
    #[error("the checkpoint's note is not accepted")]
    Note(#[from] NoteError),
    /// The note is signed by a trusted key, but not by one under the log's own name.
    #[error("the checkpoint is not signed by its own log")]
    NotByOrigin,
}

impl Checkpoint {
    /// States that the log named `origin` has `size` entries under `root`.
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        if origin.is_empty() || origin.contains('\n') || !is_printable(origin) {
            return Err(CheckpointError::Origin);
        }
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions: Vec::new(),
        })
    }

    /// Opens a signed note: a key in `verifiers` whose name is the checkpoint's origin must have signed it.
    pub fn open(
        note: &str,
        verifiers: &[NoteVerifier],
    ) -> Result<VerifiedCheckpoint, CheckpointError> {
        let note = open(note, verifiers)?;
        let checkpoint: Self = note.text().parse()?;
        if !note.signers().any(|(name, _)| name == checkpoint.origin) {
            return Err(CheckpointError::NotByOrigin);
        }
        Ok(VerifiedCheckpoint(checkpoint))
    }

    /// Signs the checkpoint into a note; the signer must bear the log's own name.
    pub fn sign(&self, signer: &NoteSigner) -> Result<String, CheckpointError> {
        if signer.name() != self.origin {
            return Err(CheckpointError::NotByOrigin);
        }
        Ok(signer.sign(&self.to_string())?)
    }

    /// The name of the log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over the entries.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// Further lines of a log that is not ours; nothing can be concluded from them.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }
}

impl VerifiedCheckpoint {
    /// What the log has signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.0
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)?;
        self.extensions
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let lines: Vec<&str> = text
            .strip_suffix('\n')
            .ok_or(CheckpointError::Lines)?
            .split('\n')
            .collect();
        if !is_printable(text) || lines.iter().any(|line| line.is_empty()) {
            return Err(CheckpointError::Lines);
        }
        let [origin, size, root, extensions @ ..] = lines.as_slice() else {
            return Err(CheckpointError::Lines);
        };
        let size = parse_decimal(size).ok_or(CheckpointError::Size)?;
        let root = Hash::from_base64(root).map_err(|_| CheckpointError::Root)?;
        let extensions = extensions.iter().map(|&line| line.to_owned()).collect();
        Ok(Self {
            extensions,
            ..Self::new(origin, size, root)?
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // The example of the specification.
    const EXAMPLE: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_example_of_the_specification_parses() {
        let checkpoint: Checkpoint = EXAMPLE.parse().unwrap();
        assert_eq!(checkpoint.origin(), "example.com/behind-the-sofa");
        assert_eq!(checkpoint.size(), 20_852_163);
        assert_eq!(
            checkpoint.root().to_base64(),
            "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
        );
        assert_eq!(checkpoint.to_string(), EXAMPLE);
        let extended = format!("{EXAMPLE}one\ntwo\n");
        let checkpoint: Checkpoint = extended.parse().unwrap();
        assert_eq!(checkpoint.extensions(), ["one", "two"]);
        assert_eq!(checkpoint.to_string(), extended);
    }

    #[test]
    fn other_spellings_are_refused() {
        let check = |text: &str, expected| {
            assert_eq!(text.parse::<Checkpoint>(), Err(expected), "{text:?}")
        };
        check("", CheckpointError::Lines);
        check("\n", CheckpointError::Lines);
        check("example.com\n1\n", CheckpointError::Lines);
        check(EXAMPLE.trim_end(), CheckpointError::Lines);
        check(&format!("\n{EXAMPLE}"), CheckpointError::Lines);
        check(&format!("{EXAMPLE}\n"), CheckpointError::Lines);
        check(&EXAMPLE.replace('\n', "\r\n"), CheckpointError::Lines);
        check(&EXAMPLE.replace("208", "0208"), CheckpointError::Size);
        check(&EXAMPLE.replace("208", "+208"), CheckpointError::Size);
        check(&EXAMPLE.replace("208", "-208"), CheckpointError::Size);
        check(&EXAMPLE.replace("208", " 208"), CheckpointError::Size);
        check(
            &EXAMPLE.replace("208", "99999999999999208"),
            CheckpointError::Size,
        );
        check(&EXAMPLE.replace("I=", "I"), CheckpointError::Root);
        check(&EXAMPLE.replace("I=", "J="), CheckpointError::Root);
        check(&EXAMPLE.replace("CsUY", ""), CheckpointError::Root);
        check(
            &EXAMPLE.replace("20852163", "0"),
            CheckpointError::EmptyRoot,
        );
    }

    #[test]
    fn only_the_log_itself_signs_its_checkpoint() {
        let checkpoint = Checkpoint::new("log.example", 0, empty_root()).unwrap();
        let log = NoteSigner::from_seed("log.example", &[1; 32]).unwrap();
        let other = NoteSigner::from_seed("other.example", &[2; 32]).unwrap();
        assert_eq!(checkpoint.sign(&other), Err(CheckpointError::NotByOrigin));
        let verifiers = [log.verifier().clone(), other.verifier().clone()];
        let opened = Checkpoint::open(&checkpoint.sign(&log).unwrap(), &verifiers).unwrap();
        assert_eq!(*opened.checkpoint(), checkpoint);
        // A trusted key of another log does not do.
        let crossed = other.sign(&checkpoint.to_string()).unwrap();
        assert_eq!(
            Checkpoint::open(&crossed, &verifiers),
            Err(CheckpointError::NotByOrigin)
        );
        assert_eq!(
            Checkpoint::open(&crossed, &verifiers[..1]),
            Err(CheckpointError::Note(NoteError::Untrusted))
        );
    }

    #[test]
    fn an_origin_is_one_line() {
        for origin in ["", "a\nb", "a\n", "a\tb", "a\0"] {
            assert_eq!(
                Checkpoint::new(origin, 0, empty_root()),
                Err(CheckpointError::Origin),
                "{origin:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn printing_then_parsing_is_identity(origin in "[^\\x00-\\x1f]{1,40}", size in 1u64.., root: [u8; 32]) {
            let checkpoint = Checkpoint::new(&origin, size, Hash::from_bytes(root)).unwrap();
            prop_assert_eq!(checkpoint.to_string().parse(), Ok(checkpoint));
        }

        #[test]
        fn what_parses_prints_the_same(text in "[^\\x00]{1,4}\n[+0-9]{1,3}\n(47DEQpj8HBSa\\+/TImW\\+5JCeuQeRkm5NMpJWZG3hSuFU=|[a-z]{44})\n(x?\n)?") {
            if let Ok(checkpoint) = text.parse::<Checkpoint>() {
                prop_assert_eq!(checkpoint.to_string(), text);
            }
        }

        #[test]
        fn any_text_parses_or_is_refused(text: String) {
            let _ = text.parse::<Checkpoint>();
        }
    }
}
