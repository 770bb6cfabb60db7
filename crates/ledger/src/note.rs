//! Signed notes (C2SP signed-note v1) with Ed25519 keys of type 0x01.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{
    ED25519, ED25519_PUBLIC_KEY_LEN, Ed25519KeyPair, KeyPair, ParsedPublicKey,
};

use crate::text::{base64, is_printable, parse_base64};

/// The longest note that is opened.
pub const MAX_NOTE_BYTES: usize = 1_000_000;

/// The most signature lines that a note may carry; the specification asks for room for 16.
pub const MAX_SIGNATURES: usize = 100;

/// The signature type identifier of plain Ed25519.
const ED25519_TYPE: u8 = 0x01;

const KEY_ID_BYTES: usize = 4;

/// The first four bytes of a key's hash: a hint for finding the key, not proof of anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

/// Signs notes with one Ed25519 key under one name.
///
/// It has no `Debug`, so that the key cannot be printed by mistake.
pub struct NoteSigner {
    key: Ed25519KeyPair,
    verifier: NoteVerifier,
}

/// A name and the public key that is trusted to sign under it.
#[derive(Clone)]
pub struct NoteVerifier {
    // INVARIANT: not empty, without white space, `+` and control characters.
    name: String,
    id: KeyId,
    key: ParsedPublicKey,
}

/// A note whose text was signed by at least one key that the opener trusts; only [`open`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedNote {
    text: String,
    signers: Vec<(String, KeyId)>,
}

/// A note or a key that is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The name cannot stand in a signature line.
    #[error("a key name is not empty and has no white space, plus sign or control character")]
    Name,
    /// The text of a verifier key is malformed.
    #[error(
        "a verifier key is `<name>+<key id>+<key>`, with an ed25519 key and the key id that belongs to it"
    )]
    VerifierKey,
    /// The bytes are no Ed25519 key.
    #[error("not an ed25519 key")]
    Key,
    /// The text cannot be signed as a note.
    #[error("a note's text ends in a line feed and has no other control character")]
    Text,
    /// The note has too many bytes.
    #[error("the note is longer than {MAX_NOTE_BYTES} bytes")]
    TooLong,
    /// The note has too many signature lines.
    #[error("the note has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// The note is not text, a blank line and signature lines.
    #[error("malformed note")]
    Malformed,
    /// A signature under a trusted key is wrong.
    #[error("a signature by a trusted key does not verify")]
    BadSignature,
    /// No trusted key has signed.
    #[error("the note is not signed by a trusted key")]
    Untrusted,
}

/// Opens a note: checks every signature by a key in `verifiers` and ignores those by any other key.
pub fn open(note: &str, verifiers: &[NoteVerifier]) -> Result<VerifiedNote, NoteError> {
    if note.len() > MAX_NOTE_BYTES {
        return Err(NoteError::TooLong);
    }
    if !is_printable(note) {
        return Err(NoteError::Malformed);
    }
    // The last blank line divides: the text itself may have blank lines.
    let blank = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
    let (text, signatures) = (&note[..=blank], &note[blank + 2..]);
    let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Malformed)?;
    let mut signers = Vec::new();
    for (count, line) in signatures.split('\n').enumerate() {
        if count == MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let line = SignatureLine::parse(line).ok_or(NoteError::Malformed)?;
        for verifier in verifiers
            .iter()
            .filter(|verifier| verifier.name == line.name && verifier.id == line.id)
        {
            verifier.verify(text, &line.signature)?;
            let signer = (verifier.name.clone(), verifier.id);
            if !signers.contains(&signer) {
                signers.push(signer);
            }
        }
    }
    if signers.is_empty() {
        return Err(NoteError::Untrusted);
    }
    Ok(VerifiedNote {
        text: text.to_owned(),
        signers,
    })
}

impl NoteSigner {
    /// Makes a signer from the 32-byte Ed25519 seed; the caller keeps and wipes the seed.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::Key)?;
        let verifier = NoteVerifier::new(name, key.public_key().as_ref())?;
        Ok(Self { key, verifier })
    }

    /// The name that the signatures carry.
    pub fn name(&self) -> &str {
        &self.verifier.name
    }

    /// The public half, to hand out.
    pub fn verifier(&self) -> &NoteVerifier {
        &self.verifier
    }

    /// Signs `text`, which ends in a line feed, and returns the whole note.
    pub fn sign(&self, text: &str) -> Result<String, NoteError> {
        if !text.ends_with('\n') || !is_printable(text) {
            return Err(NoteError::Text);
        }
        let signature = self
            .key
            .try_sign(text.as_bytes())
            .map_err(|_| NoteError::Key)?;
        let id = self.verifier.id;
        let line = SignatureLine {
            name: self.name(),
            id,
            signature: signature.as_ref().to_vec(),
        };
        let note = format!("{text}\n{line}\n");
        if note.len() > MAX_NOTE_BYTES {
            Err(NoteError::TooLong)
        } else {
            Ok(note)
        }
    }
}

impl NoteVerifier {
    /// Trusts a 32-byte Ed25519 public key under a name.
    pub fn new(name: &str, public_key: &[u8]) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Name);
        }
        if public_key.len() != ED25519_PUBLIC_KEY_LEN {
            return Err(NoteError::Key);
        }
        let key = ParsedPublicKey::new(&ED25519, public_key).map_err(|_| NoteError::Key)?;
        Ok(Self {
            name: name.to_owned(),
            id: KeyId::of(name, public_key),
            key,
        })
    }

    /// The name that trusted signatures carry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's short identifier.
    pub fn key_id(&self) -> KeyId {
        self.id
    }

    /// The 32 bytes of the public key.
    pub fn public_key(&self) -> &[u8] {
        self.key.as_ref()
    }

    /// The text form, `<name>+<key id>+<key>`, that [`FromStr`] parses.
    pub fn vkey(&self) -> String {
        self.to_string()
    }

    fn verify(&self, text: &str, signature: &[u8]) -> Result<(), NoteError> {
        self.key
            .verify_sig(text.as_bytes(), signature)
            .map_err(|_| NoteError::BadSignature)
    }
}

impl VerifiedNote {
    /// The signed text, with its last line feed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The trusted keys that signed, in the order of their signatures.
    pub fn signers(&self) -> impl Iterator<Item = (&str, KeyId)> {
        self.signers.iter().map(|(name, id)| (name.as_str(), *id))
    }
}

impl KeyId {
    fn of(name: &str, public_key: &[u8]) -> Self {
        let named = [name.as_bytes(), b"\n", &[ED25519_TYPE], public_key].concat();
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &named);
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&hash.as_ref()[..KEY_ID_BYTES]);
        Self(id)
    }
}

/// Prints eight lower-case hex digits.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Display for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ED25519_TYPE], self.public_key()].concat();
        write!(f, "{}+{}+{}", self.name, self.id, base64(&key))
    }
}

/// Prints the public text form.
impl fmt::Debug for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteVerifier({self})")
    }
}

impl FromStr for NoteVerifier {
    type Err = NoteError;

    fn from_str(vkey: &str) -> Result<Self, NoteError> {
        // Base64 may hold plus signs, a name may not: split from the left.
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::VerifierKey);
        };
        let typed = parse_base64(key).ok_or(NoteError::VerifierKey)?;
        let Some((&ED25519_TYPE, public_key)) = typed.split_first() else {
            return Err(NoteError::VerifierKey);
        };
        let verifier = Self::new(name, public_key)?;
        if verifier.id.to_string() == id {
            Ok(verifier)
        } else {
            Err(NoteError::VerifierKey)
        }
    }
}

/// `— <name> base64(<key id><signature>)`
struct SignatureLine<'a> {
    name: &'a str,
    id: KeyId,
    signature: Vec<u8>,
}

impl<'a> SignatureLine<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let bytes = parse_base64(encoded)?;
        let (id, signature) = bytes.split_first_chunk()?;
        let well_formed = is_name(name) && !signature.is_empty();
        well_formed.then(|| Self {
            name,
            id: KeyId(*id),
            signature: signature.to_vec(),
        })
    }
}

impl fmt::Display for SignatureLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id.0, self.signature.as_slice()].concat();
        write!(f, "\u{2014} {} {}", self.name, base64(&bytes))
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // A note of a public log and the key that the log publishes: made by other people's software.
    const SUMDB_KEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
    const SUMDB_TEXT: &str =
        "go.sum database tree\n63096908\n8lHrQPRYe4KT4WQ9/Qk8/taKnD6IRHbFgfN7vQE2Y54=\n";
    const SUMDB_LINE: &str = "\u{2014} sum.golang.org Az3gri/oVBN1jAhNZ/iS+W31psFAWRT20/GyrhpU6taFwulQGetBkH5S7wpGXdS935jiIGiUUAXBVHzT/P6fYhqAmAk=\n";

    fn signer(name: &str, seed: u8) -> NoteSigner {
        NoteSigner::from_seed(name, &[seed; 32]).unwrap()
    }

    #[test]
    fn a_note_of_another_implementation_opens() {
        let verifier: NoteVerifier = SUMDB_KEY.parse().unwrap();
        assert_eq!(verifier.vkey(), SUMDB_KEY);
        let note = open(
            &format!("{SUMDB_TEXT}\n{SUMDB_LINE}"),
            std::slice::from_ref(&verifier),
        )
        .unwrap();
        assert_eq!(note.text(), SUMDB_TEXT);
        assert_eq!(
            note.signers().collect::<Vec<_>>(),
            [("sum.golang.org", verifier.key_id())]
        );
    }

    #[test]
    fn the_key_is_that_of_rfc_8032() {
        // RFC 8032 §7.1, test 1.
        let seed = b"\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";
        let signer = NoteSigner::from_seed("log.example", seed).unwrap();
        assert_eq!(
            signer.verifier().public_key()[..4],
            [0xd7, 0x5a, 0x98, 0x01]
        );
        assert_eq!(
            signer.verifier().public_key()[28..],
            [0xf7, 0x07, 0x51, 0x1a]
        );
    }

    #[test]
    fn signatures_by_unknown_keys_are_ignored_and_those_by_known_keys_must_hold() {
        let (ours, theirs) = (signer("log.example", 1), signer("witness.example", 2));
        let text = "first\n\nlast\n";
        let (our_note, their_note) = (ours.sign(text).unwrap(), theirs.sign(text).unwrap());
        let their_line = their_note.rsplit_once("\n\n").unwrap().1;
        let both = format!("{our_note}{their_line}");
        let check = |note: &str, keys: &[&NoteSigner], expected: Result<&[&str], NoteError>| {
            let verifiers: Vec<_> = keys.iter().map(|key| key.verifier().clone()).collect();
            let opened = open(note, &verifiers);
            let names = opened
                .as_ref()
                .map(|note| note.signers().map(|(name, _)| name).collect::<Vec<_>>());
            assert_eq!(
                names.map_err(|error| *error),
                expected.map(<[&str]>::to_vec),
                "{note}"
            );
        };
        check(
            &both,
            &[&ours, &theirs],
            Ok(&["log.example", "witness.example"]),
        );
        check(&both, &[&theirs], Ok(&["witness.example"]));
        check(&both, &[], Err(NoteError::Untrusted));
        // The same name with another key, and the same key under another name, are unknown keys.
        check(
            &both,
            &[&signer("log.example", 3)],
            Err(NoteError::Untrusted),
        );
        check(
            &both,
            &[&signer("other.example", 1)],
            Err(NoteError::Untrusted),
        );
        // A repeated signature counts once.
        check(
            &format!("{both}{their_line}"),
            &[&theirs],
            Ok(&["witness.example"]),
        );
        // One wrong signature by a known key spoils the note, even beside a right one.
        let other_text = both.replace("first", "faked");
        check(&other_text, &[&ours], Err(NoteError::BadSignature));
        let moved = format!(
            "{other_text}{}",
            signer("third.example", 4)
                .sign("faked\n\nlast\n")
                .unwrap()
                .rsplit_once("\n\n")
                .unwrap()
                .1
        );
        check(
            &moved,
            &[&ours, &signer("third.example", 4)],
            Err(NoteError::BadSignature),
        );
    }

    #[test]
    fn malformed_notes_are_refused() {
        let ours = signer("log.example", 1);
        let note = ours.sign("text\n").unwrap();
        let line = note.rsplit_once("\n\n").unwrap().1;
        let encoded = line.trim_end().rsplit_once(' ').unwrap().1;
        let check = |note: &str| {
            assert_eq!(
                open(note, std::slice::from_ref(ours.verifier())),
                Err(NoteError::Malformed),
                "{note:?}"
            );
        };
        check("");
        check("text\n");
        check("text\n\n");
        check(note.trim_end());
        check(&format!("{note}\n"));
        check(&format!("{note}tail\n"));
        check(&note.replace('\u{2014}', "-"));
        check(&note.replace("\u{2014} ", "\u{2014}"));
        check(&note.replace("log.example ", "log.example  "));
        check(&note.replace("log.example ", ""));
        check(&note.replace("log.example", "log+example"));
        check(&note.replace("log.example", "log\u{2003}example"));
        check(&note.replace("text", "te\txt"));
        check(&note.replace("text", "te\rxt"));
        check(&note.replace("text\n\n", "text\r\n\r\n"));
        check(&note.replace(encoded, encoded.trim_end_matches('=')));
        check(&note.replace(encoded, "AAAAAA=="));
        check(&note.replace(encoded, ""));
    }

    #[test]
    fn limits_hold() {
        let ours = signer("log.example", 1);
        let verifiers = [ours.verifier().clone()];
        let note = ours.sign("text\n").unwrap();
        let other = signer("other.example", 2).sign("text\n").unwrap();
        let other_line = other.rsplit_once("\n\n").unwrap().1;
        assert!(
            open(
                &format!("{note}{}", other_line.repeat(MAX_SIGNATURES - 1)),
                &verifiers
            )
            .is_ok()
        );
        let crowded = format!("{note}{}", other_line.repeat(MAX_SIGNATURES));
        assert_eq!(
            open(&crowded, &verifiers),
            Err(NoteError::TooManySignatures)
        );
        let long = format!("{}\n", "x".repeat(MAX_NOTE_BYTES));
        assert_eq!(ours.sign(&long), Err(NoteError::TooLong));
        assert_eq!(
            open(&format!("{long}\n{other_line}"), &verifiers),
            Err(NoteError::TooLong)
        );
    }

    #[test]
    fn only_texts_and_names_that_can_be_read_back_are_signed() {
        let ours = signer("log.example", 1);
        for text in [
            "",
            "no line feed",
            "tab\t\n",
            "nul\0\n",
            "escape\u{1b}[0m\n",
            "crlf\r\n",
        ] {
            assert_eq!(ours.sign(text), Err(NoteError::Text), "{text:?}");
        }
        for name in ["", "a b", "a+b", "a\nb", "a\u{a0}b", "a\0b"] {
            assert_eq!(
                NoteSigner::from_seed(name, &[1; 32]).err(),
                Some(NoteError::Name),
                "{name:?}"
            );
        }
    }

    #[test]
    fn malformed_verifier_keys_are_refused() {
        let parse = |vkey: &str| vkey.parse::<NoteVerifier>().err();
        for vkey in [
            "",
            "sum.golang.org",
            "sum.golang.org+033de0ae",
            "sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "sum.golang.org+033DE0AE+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "sum.golang.com+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "sum.golang.org+033de0ae+As4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "sum.golang.org+033de0ae+",
            "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8\n",
        ] {
            assert_eq!(parse(vkey), Some(NoteError::VerifierKey), "{vkey:?}");
        }
        assert_eq!(parse("sum.golang.org+033de0ae+Ac4z"), Some(NoteError::Key));
        assert_eq!(
            parse("+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"),
            Some(NoteError::Name)
        );
    }

    proptest! {
        #[test]
        fn what_is_signed_opens(lines in prop::collection::vec("[^\\x00-\\x1f]{0,20}", 1..6), seed: [u8; 32]) {
            let ours = NoteSigner::from_seed("log.example", &seed).unwrap();
            let verifiers = [ours.verifier().vkey().parse().unwrap()];
            let text = format!("{}\n", lines.join("\n"));
            let note = ours.sign(&text).unwrap();
            let opened = open(&note, &verifiers).unwrap();
            prop_assert_eq!(opened.text(), text);
        }

        #[test]
        fn any_changed_byte_is_refused(at: prop::sample::Index, byte: u8) {
            let ours = signer("log.example", 1);
            let note = ours.sign("log.example\n7\n").unwrap();
            let mut bytes = note.clone().into_bytes();
            *at.get_mut(&mut bytes) = byte;
            if let Ok(changed) = String::from_utf8(bytes) && changed != note {
                prop_assert!(open(&changed, std::slice::from_ref(ours.verifier())).is_err());
            }
        }

        #[test]
        fn any_text_opens_or_is_refused(text: String, tail: String) {
            let ours = signer("log.example", 1);
            let _ = open(&text, std::slice::from_ref(ours.verifier()));
            let _ = open(&format!("{text}\n\n\u{2014} {tail}\n"), std::slice::from_ref(ours.verifier()));
            let _ = text.parse::<NoteVerifier>();
            let _ = format!("a+{text}+{tail}").parse::<NoteVerifier>();
        }
    }
}
