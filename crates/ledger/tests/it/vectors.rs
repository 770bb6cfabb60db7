//! The published RFC 6962 proof vectors, read from the folder of vectors.

use std::fs;
use std::path::{Path, PathBuf};

use chancery_ledger::hash::{Hash, leaf_hash};
use chancery_ledger::proof::{verify_consistency, verify_inclusion};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inclusion {
    leaf_idx: u64,
    tree_size: u64,
    root: String,
    leaf_hash: String,
    proof: Option<Vec<String>>,
    want_err: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Consistency {
    size1: u64,
    size2: u64,
    root1: String,
    root2: String,
    proof: Option<Vec<String>>,
    want_err: bool,
}

#[test]
fn published_inclusion_proofs() {
    let ran = run("inclusion", |case: Inclusion| {
        let (Some(leaf), Some(proof)) = (hash(&case.leaf_hash), proof(case.proof)) else {
            return case.want_err;
        };
        let verdict = verify_inclusion(
            &leaf,
            case.leaf_idx,
            case.tree_size,
            &proof,
            &root(&case.root),
        );
        verdict.is_err() == case.want_err
    });
    assert!(ran.is_none_or(|ran| ran >= 60), "only {ran:?} cases");
}

#[test]
fn published_consistency_proofs() {
    let ran = run("consistency", |case: Consistency| {
        let Some(proof) = proof(case.proof) else {
            return case.want_err;
        };
        let verdict = verify_consistency(
            case.size1,
            case.size2,
            &proof,
            &root(&case.root1),
            &root(&case.root2),
        );
        verdict.is_err() == case.want_err
    });
    assert!(ran.is_none_or(|ran| ran >= 50), "only {ran:?} cases");
}

/// Runs every case below `kind`; `None` when the vectors are not on this machine.
#[expect(
    clippy::disallowed_methods,
    reason = "a test finds its vectors where the machine has them"
)]
fn run<T: for<'a> Deserialize<'a>>(kind: &str, agrees: impl Fn(T) -> bool) -> Option<usize> {
    let vectors = std::env::var_os("CHANCERY_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let root = vectors.join("merkle-rfc6962").join(kind);
    if !root.is_dir() {
        println!("vectors absent: not run");
        return None;
    }
    let mut folders = vec![root];
    let mut ran = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let case = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            assert!(agrees(case), "{}", path.display());
            ran += 1;
        }
    }
    println!("{kind}: {ran} cases");
    Some(ran)
}

fn hash(base64: &str) -> Option<Hash> {
    Hash::from_base64(base64).ok()
}

fn proof(hashes: Option<Vec<String>>) -> Option<Vec<Hash>> {
    hashes
        .unwrap_or_default()
        .iter()
        .map(|text| hash(text))
        .collect()
}

/// Some cases have a root of another length, which our types cannot express: any hash that no tree has stands for it.
fn root(base64: &str) -> Hash {
    hash(base64).unwrap_or_else(|| leaf_hash(base64.as_bytes()))
}
