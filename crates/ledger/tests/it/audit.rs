//! Audits of copies that somebody tampered with: AUD-01, AUD-02 and AUD-03.

use std::collections::BTreeMap;
use std::convert::Infallible;

use chancery_ledger::appender::Appender;
use chancery_ledger::audit::{Finding, VerifiedCopy, verify_copy};
use chancery_ledger::bundle;
use chancery_ledger::checkpoint::Checkpoint;
use chancery_ledger::hash::{Hash, leaf_hash};
use chancery_ledger::note::NoteSigner;
use chancery_ledger::path::{BundleId, TileId};
use proptest::prelude::*;

/// A downloaded copy: its files by path, and the entries that they should hold.
#[derive(Clone)]
struct Copy {
    entries: Vec<Vec<u8>>,
    files: BTreeMap<String, Vec<u8>>,
}

fn signer() -> NoteSigner {
    NoteSigner::from_seed("log.example", &[7; 32]).unwrap()
}

/// Entries say at what time they were written, in plain decimals.
fn entries(count: u64) -> Vec<Vec<u8>> {
    (0..count)
        .map(|index| (1000 + index).to_string().into_bytes())
        .collect()
}

impl Copy {
    fn of(entries: Vec<Vec<u8>>) -> Self {
        let mut copy = Self {
            entries,
            files: BTreeMap::new(),
        };
        copy.write_bundles();
        let root = copy.write_tiles();
        let checkpoint = Checkpoint::new("log.example", copy.size(), root).unwrap();
        copy.files.insert(
            "checkpoint".into(),
            checkpoint.sign(&signer()).unwrap().into_bytes(),
        );
        copy
    }

    fn size(&self) -> u64 {
        self.entries.len() as u64
    }

    fn write_bundles(&mut self) {
        for (index, entries) in self.entries.chunks(256).enumerate() {
            let id = BundleId::new(index as u64, entries.len() as u16).unwrap();
            self.files
                .insert(id.path(), bundle::encode(entries).unwrap());
        }
    }

    fn write_tiles(&mut self) -> Hash {
        let mut appender = Appender::new();
        self.entries
            .iter()
            .for_each(|entry| appender.append(leaf_hash(entry)));
        for (id, tile) in appender.take_changed() {
            self.files.insert(id.path(), tile.bytes());
        }
        appender.root()
    }

    fn checkpoint(&self) -> Checkpoint {
        let note = String::from_utf8(self.files["checkpoint"].clone()).unwrap();
        Checkpoint::open(&note, &[signer().verifier().clone()])
            .unwrap()
            .checkpoint()
            .clone()
    }

    fn flip(&mut self, path: &str, byte: usize) {
        self.files
            .get_mut(path)
            .unwrap_or_else(|| panic!("no {path}"))[byte] ^= 1;
    }

    fn audit(&self) -> Result<VerifiedCopy, Finding> {
        self.audit_after(&[])
    }

    fn audit_after(&self, older: &[Checkpoint]) -> Result<VerifiedCopy, Finding> {
        let mut last = 0;
        let mut next = 0;
        let mut source = |path: &str| Ok::<_, Infallible>(self.files.get(path).cloned());
        let mut observer = |index: u64, entry: &[u8]| {
            assert_eq!(index, next, "each entry is seen once and in order");
            next += 1;
            let at: u64 = std::str::from_utf8(entry)
                .unwrap()
                .parse()
                .map_err(|_| "no time".to_owned())?;
            if at < last {
                return Err(format!(
                    "entry {index} is dated {at}, before the one at {last}"
                ));
            }
            last = at;
            Ok(())
        };
        let verdict = verify_copy(
            &mut source,
            &[signer().verifier().clone()],
            older,
            &mut observer,
        );
        if verdict.is_ok() {
            assert_eq!(next, self.size());
        }
        verdict
    }

    fn check(&self, index: impl Into<Option<u64>>, why: &str) {
        let finding = self.audit().unwrap_err();
        assert_eq!((finding.index, finding.why.as_str()), (index.into(), why));
    }
}

#[test]
fn an_untouched_copy_verifies_at_every_size() {
    for size in [
        0, 1, 2, 255, 256, 257, 511, 512, 513, 1000, 65_536, 65_537, 66_100,
    ] {
        let copy = Copy::of(entries(size));
        let verified = copy
            .audit()
            .unwrap_or_else(|finding| panic!("size {size}: {finding}"));
        assert_eq!(verified.size(), size);
        assert_eq!(*verified.checkpoint(), copy.checkpoint());
    }
}

#[test]
fn a_copy_that_has_grown_since_the_checkpoint_verifies() {
    let earlier = Copy::of(entries(300));
    let mut later = Copy::of(entries(600));
    later
        .files
        .insert("checkpoint".into(), earlier.files["checkpoint"].clone());
    later.files.insert(
        "tile/1/000.p/1".into(),
        earlier.files["tile/1/000.p/1"].clone(),
    );
    later.entries.truncate(300);
    assert_eq!(later.audit().unwrap().size(), 300);
}

#[test]
fn aud_01_altered_entry_is_named() {
    for (size, index) in [
        (1, 0),
        (20, 17),
        (256, 255),
        (1000, 17),
        (1000, 256),
        (1000, 999),
        (66_000, 65_600),
    ] {
        let mut copy = Copy::of(entries(size));
        copy.entries[index as usize] = b"5000".to_vec();
        copy.write_bundles();
        let tile = TileId::in_tree(0, index / 256, size).unwrap();
        copy.check(
            index,
            &format!("entry {index} was altered: its hash is not the one in {tile}"),
        );
    }
}

#[test]
fn aud_01_removed_entry_is_named() {
    for index in [0, 17, 254, 255, 256, 998] {
        let mut copy = Copy::of(entries(1000));
        copy.entries.remove(index as usize);
        copy.files
            .retain(|path, _| !path.starts_with("tile/entries/"));
        copy.write_bundles();
        // The signed size is unchanged, so the last bundle must keep its name.
        let last = copy.files.remove("tile/entries/003.p/231").unwrap();
        copy.files.insert("tile/entries/003.p/232".into(), last);
        let belongs = index + 1;
        copy.check(
            index,
            &format!("entry {index} is missing or reordered: its hash belongs at index {belongs}"),
        );
    }
    // In one bundle only, without moving those that follow.
    let mut copy = Copy::of(entries(1000));
    copy.files.insert(
        "tile/entries/001".into(),
        bundle::encode(&entries(511)[256..]).unwrap(),
    );
    copy.check(511, "entry 511 is missing: tile/entries/001 ends before it");
}

#[test]
fn aud_01_inserted_entry_is_named() {
    let mut copy = Copy::of(entries(1000));
    copy.entries.insert(300, b"1300".to_vec());
    copy.entries[300] = b"forged".to_vec();
    let mut grown = copy.entries[256..512].to_vec();
    copy.files
        .insert("tile/entries/001".into(), bundle::encode(&grown).unwrap());
    copy.check(
        300,
        "entry 300 was inserted: the entry that belongs there stands at index 301",
    );

    let mut copy = Copy::of(entries(1000));
    grown = copy.entries[768..].to_vec();
    grown.push(b"forged".to_vec());
    copy.files.insert(
        "tile/entries/003.p/232".into(),
        bundle::encode(&grown).unwrap(),
    );
    copy.check(
        1000,
        "tile/entries/003.p/232 holds more than its 232 entries",
    );

    let mut copy = Copy::of(entries(1000));
    copy.entries[40] = copy.entries[39].clone();
    copy.write_bundles();
    copy.check(
        40,
        "entry 40 repeats entry 39, and the log holds another there",
    );
}

#[test]
fn aud_01_reordered_entries_are_named() {
    for (first, second) in [(17, 18), (17, 200), (200, 300)] {
        let mut copy = Copy::of(entries(1000));
        copy.entries.swap(first, second);
        copy.write_bundles();
        copy.check(
            first as u64,
            &format!("entry {first} is missing or reordered: its hash belongs at index {second}"),
        );
    }
}

#[test]
fn aud_01_back_dated_entry_is_named_by_the_observer() {
    let mut dated = entries(1000);
    dated[700] = b"1500".to_vec();
    // The log itself signed it, so that only the entry's own words can give it away.
    Copy::of(dated).check(700, "entry 700 is dated 1500, before the one at 1699");
}

#[test]
fn aud_01_changed_tile_is_named() {
    let check = |size, path: &str, byte, index: u64, why: &str| {
        let mut copy = Copy::of(entries(size));
        copy.flip(path, byte);
        copy.check(index, why);
    };
    let signed = "the entries below are those signed";
    check(
        1000,
        "tile/0/001",
        32 * 44,
        300,
        &format!("tile/0/001 was changed at its hash 44, over indices 300..300: {signed}"),
    );
    check(
        1000,
        "tile/0/003.p/232",
        32 * 231 + 31,
        999,
        &format!("tile/0/003.p/232 was changed at its hash 231, over indices 999..999: {signed}"),
    );
    check(
        1000,
        "tile/1/000.p/3",
        32,
        256,
        &format!("tile/1/000.p/3 was changed at its hash 1, over indices 256..511: {signed}"),
    );
    check(
        66_000,
        "tile/1/000",
        32 * 2,
        512,
        &format!("tile/1/000 was changed at its hash 2, over indices 512..767: {signed}"),
    );
    check(
        66_000,
        "tile/2/000.p/1",
        0,
        0,
        &format!("tile/2/000.p/1 was changed at its hash 0, over indices 0..65535: {signed}"),
    );
}

#[test]
fn aud_01_entry_altered_together_with_its_hash_is_located() {
    let tamper = |size, index: u64| {
        let mut copy = Copy::of(entries(size));
        copy.entries[index as usize] = b"5000".to_vec();
        copy.write_bundles();
        let tile = TileId::in_tree(0, index / 256, size).unwrap();
        let place = 32 * (index as usize % 256);
        copy.files.get_mut(&tile.path()).unwrap()[place..place + 32]
            .copy_from_slice(leaf_hash(b"5000").as_bytes());
        copy
    };
    tamper(1000, 300).check(
        256,
        "an entry within indices 256..511 was altered together with its hashes up to tile/0/001",
    );
    // With every hash above it: only the root is left to tell, and what was signed before.
    let mut copy = tamper(1000, 300);
    copy.write_tiles();
    let why = "the root is not the signed one: an entry within indices 0..999 was altered together with all hashes above it";
    copy.check(0, why);
    let seen = [100, 290, 310, 800].map(|size| Copy::of(entries(size)).checkpoint());
    let finding = copy.audit_after(&seen).unwrap_err();
    let why = "the root is not the signed one: an entry within indices 290..309 was altered together with all hashes above it";
    assert_eq!((finding.index, finding.why.as_str()), (Some(290), why));
    // An entry in the last, partial tile, which has no hash above it but the root.
    let why = "the root is not the signed one: an entry within indices 0..999 was altered together with all hashes above it";
    tamper(1000, 900).check(0, why);
    // Up to a full tile of level 1, where level 2 still knows better.
    let mut copy = tamper(66_000, 300);
    let level_2 = copy.files["tile/2/000.p/1"].clone();
    copy.write_tiles();
    copy.files.insert("tile/2/000.p/1".into(), level_2);
    copy.check(
        0,
        "an entry within indices 0..65535 was altered together with its hashes up to tile/1/000",
    );
}

#[test]
fn aud_01_entry_and_tile_altered_apart_are_located() {
    let mut copy = Copy::of(entries(1000));
    copy.entries[300] = b"5000".to_vec();
    copy.write_bundles();
    copy.flip("tile/0/001", 32 * 50);
    let why = "the log was altered within indices 300..300: hash 44 of tile/0/001 disagrees with what is below, and neither is signed";
    copy.check(300, why);
}

#[test]
fn aud_02_truncated_copy_is_named() {
    let full = Copy::of(entries(1000));
    for kept in [0, 1, 255, 256, 500, 768, 999] {
        let mut copy = Copy::of(entries(kept));
        copy.files
            .insert("checkpoint".into(), full.files["checkpoint"].clone());
        copy.check(
            kept,
            &format!("entry {kept} is missing: the checkpoint signs 1000 entries"),
        );
    }
    for path in ["tile/0/001", "tile/0/003.p/232", "tile/1/000.p/3"] {
        let mut copy = full.clone();
        copy.files.remove(path);
        let start = if path == "tile/1/000.p/3" {
            0
        } else if path == "tile/0/001" {
            256
        } else {
            768
        };
        copy.check(start, &format!("{path} is missing"));
    }
    let mut copy = full.clone();
    copy.files.remove("tile/entries/001");
    copy.check(
        256,
        "entry 256 is missing: the checkpoint signs 1000 entries",
    );
    let mut copy = full.clone();
    copy.files.get_mut("tile/0/001").unwrap().truncate(33);
    copy.check(257, "tile/0/001 has 33 bytes instead of 8192");
    let mut copy = full;
    copy.files.get_mut("tile/entries/001").unwrap().truncate(5);
    copy.check(
        256,
        "entry 256 cannot be read from tile/entries/001: the bundle ends within an entry",
    );
}

#[test]
fn aud_02_rollback_is_found_by_a_checkpoint_seen_before() {
    let before = Copy::of(entries(1000)).checkpoint();
    let rolled_back = Copy::of(entries(900));
    assert!(rolled_back.audit().is_ok());
    let finding = rolled_back.audit_after(&[before]).unwrap_err();
    assert_eq!(finding.index, Some(900));
    assert_eq!(
        finding.why,
        "the log went backwards: it signs 900 entries and has signed 1000 before"
    );
}

#[test]
fn aud_03_fork_is_found_by_a_checkpoint_seen_before() {
    let copy = Copy::of(entries(1000));
    for size in [0, 1, 256, 700, 1000] {
        let honest = Copy::of(entries(size)).checkpoint();
        assert!(copy.audit_after(&[honest]).is_ok());
    }
    for size in [1, 256, 700, 1000] {
        let mut other = entries(size);
        other[0] = b"0".to_vec();
        let finding = copy
            .audit_after(&[Copy::of(other).checkpoint()])
            .unwrap_err();
        assert_eq!(finding.index, None);
        assert_eq!(
            finding.why,
            format!("the log forked: its first {size} entries are not those it has signed before")
        );
    }
    let elsewhere = Checkpoint::new("other.example", 1, leaf_hash(b"0")).unwrap();
    let finding = copy.audit_after(&[elsewhere]).unwrap_err();
    assert_eq!(
        finding.why,
        "the checkpoint is of the log `log.example`, not of `other.example`"
    );
}

#[test]
fn a_checkpoint_that_cannot_be_trusted_is_a_finding_about_the_log() {
    let copy = Copy::of(entries(10));
    let check = |change: fn(&mut Copy), why: &str| {
        let mut copy = copy.clone();
        change(&mut copy);
        copy.check(None, why);
    };
    check(
        |copy| {
            copy.files.remove("checkpoint");
        },
        "the checkpoint is missing",
    );
    check(
        |copy| copy.flip("checkpoint", 0),
        "the checkpoint is not acceptable: the checkpoint's note is not accepted: a signature by a trusted key does not verify",
    );
    check(
        |copy| {
            copy.files.insert("checkpoint".into(), b"garbled".to_vec());
        },
        "the checkpoint is not acceptable: the checkpoint's note is not accepted: malformed note",
    );
    check(
        |copy| {
            copy.files.insert("checkpoint".into(), vec![0xff]);
        },
        "the checkpoint is not text",
    );
    check(
        |copy| {
            let other = NoteSigner::from_seed("log.example", &[8; 32]).unwrap();
            let note = copy.checkpoint().sign(&other).unwrap();
            copy.files.insert("checkpoint".into(), note.into_bytes());
        },
        "the checkpoint is not acceptable: the checkpoint's note is not accepted: the note is not signed by a trusted key",
    );
}

#[test]
fn a_source_that_fails_is_reported() {
    let copy = Copy::of(entries(10));
    let mut source = |path: &str| match path {
        "checkpoint" => Ok(copy.files.get(path).cloned()),
        _ => Err("disk on fire"),
    };
    let verdict = verify_copy(
        &mut source,
        &[signer().verifier().clone()],
        &[],
        &mut |_, _| Ok(()),
    );
    assert_eq!(
        verdict.unwrap_err().why,
        "cannot read tile/0/000.p/10: disk on fire"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_changed_bit_in_any_file_is_found(size in 1..1500u64, file: prop::sample::Index, at: prop::sample::Index, bit in 0..8u8) {
        let mut copy = Copy::of(entries(size));
        let path = file.get(&copy.files.keys().cloned().collect::<Vec<_>>()).clone();
        let bytes = copy.files.get_mut(&path).unwrap();
        *at.get_mut(bytes) ^= 1 << bit;
        prop_assert!(copy.audit().is_err());
    }

    #[test]
    fn any_changed_entry_is_named(size in 1..1500u64, at: prop::sample::Index) {
        let mut copy = Copy::of(entries(size));
        let index = at.index(size as usize);
        copy.entries[index].push(b'0');
        copy.write_bundles();
        prop_assert_eq!(copy.audit().unwrap_err().index, Some(index as u64));
    }

    #[test]
    fn any_bytes_in_place_of_a_file_are_refused(file: prop::sample::Index, bytes: Vec<u8>) {
        let mut copy = Copy::of(entries(600));
        let path = file.get(&copy.files.keys().cloned().collect::<Vec<_>>()).clone();
        copy.files.insert(path, bytes);
        prop_assert!(copy.audit().is_err());
    }
}
