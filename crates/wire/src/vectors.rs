//! Where the published test vectors are, for tests only.

use std::path::PathBuf;

use serde_json::Value;

/// The folder of one suite, or nothing on a machine that has none.
#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by the environment where the vectors are"
)]
pub(crate) fn folder(suite: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    let root = std::env::var_os("CHANCERY_VECTORS").map_or_else(|| beside.into(), PathBuf::from);
    let folder = root.join(suite);
    if !folder.is_dir() {
        println!("{suite}: vectors absent: not run");
        return None;
    }
    Some(folder)
}

/// One file of a suite; the files hold more than our limits allow, so they are read as they are.
pub(crate) fn file(suite: &str, name: &str) -> Option<Value> {
    let text = std::fs::read(folder(suite)?.join(name)).expect("a vector file");
    Some(serde_json::from_slice(&text).expect("JSON"))
}
