//! Entries made to confuse: AUD-07.

use chancery_ledger::appender::Appender;
use chancery_ledger::hash::{Hash, empty_root, leaf_hash, node_hash};
use chancery_ledger::proof::{inclusion, verify_inclusion};
use chancery_ledger::tree::Frontier;

fn root(entries: &[&[u8]]) -> Hash {
    let mut frontier = Frontier::new();
    entries
        .iter()
        .for_each(|entry| frontier.push(leaf_hash(entry)));
    frontier.root()
}

#[test]
fn aud_07_leaf_node_confusion() {
    let (left, right) = (leaf_hash(b"left"), leaf_hash(b"right"));
    let node = node_hash(&left, &right);
    let both = [left.as_bytes().as_slice(), right.as_bytes()].concat();
    // With or without the prefix of a node, an entry never hashes to the node above the two leaves.
    for prefix in [[].as_slice(), &[0], &[1]] {
        let entry = [prefix, &both].concat();
        assert_ne!(leaf_hash(&entry), node);
        assert_ne!(root(&[&entry]), root(&[b"left", b"right"]));
        assert!(verify_inclusion(&leaf_hash(&entry), 0, 1, &[], &node).is_err());
    }
    // Nor does a node pass for a leaf of the tree, of two entries or of a pretended one.
    assert!(verify_inclusion(&node, 0, 2, &[], &node).is_err());
    assert!(verify_inclusion(&leaf_hash(node.as_bytes()), 0, 1, &[], &node).is_err());
    let four = root(&[b"left", b"right", b"left", b"right"]);
    assert!(verify_inclusion(&node, 0, 4, &[node], &four).is_err());
}

#[test]
fn aud_07_empty_entry() {
    assert_ne!(leaf_hash(b""), empty_root());
    assert_ne!(root(&[b""]), root(&[]));
    assert_ne!(root(&[b"a", b""]), root(&[b"a"]));
    assert_eq!(
        verify_inclusion(&leaf_hash(b""), 0, 1, &[], &root(&[b""])),
        Ok(())
    );
}

#[test]
fn aud_07_duplicate_entries_have_an_index_each() {
    let mut appender = Appender::new();
    for _ in 0..3 {
        appender.append(leaf_hash(b"same"));
    }
    let rows: Vec<_> = appender
        .take_changed()
        .into_iter()
        .map(|(id, tile)| (id, tile.row()))
        .collect();
    let prove = |index| {
        inclusion(index, 3, |id| {
            rows.iter()
                .find(|row| row.0 == id)
                .map(|row| &row.1)
                .ok_or(id)
        })
        .unwrap()
    };
    let leaf = leaf_hash(b"same");
    let verify = |index, proof: &[Hash]| verify_inclusion(&leaf, index, 3, proof, &appender.root());
    for index in 0..3 {
        assert_eq!(verify(index, &prove(index)), Ok(()));
    }
    assert!(verify(2, &prove(0)).is_err());
    assert!(verify(0, &prove(2)).is_err());
    assert!(verify(3, &prove(2)).is_err());
}
