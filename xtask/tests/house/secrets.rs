//! Where secrets are compared, and where randomness comes from.
//!
//! A comparison that ends at the first difference tells by its time how much of a guess was right (CRY-01), so
//! there is one that does not, and a secret has no other. Whoever draws randomness elsewhere than at the one
//! door may draw it from a source that starts over (CRY-02).

use std::path::PathBuf;

use crate::source::{Source, below, crates};
use crate::{assert_none, root};

/// The file with the one comparison of secrets.
const COMPARES: &str = "crates/wire/src/hash.rs";

/// Words of a comparison that takes the same time whatever it finds.
const CONSTANT_TIME: [&str; 2] = ["constant_time", "verify_slices_are_equal"];

/// Names of what is secret, or is found by a secret: the content of a `Secret`, and hashes of logins.
const SECRETS: [&str; 4] = [
    "expose()",
    "local_administrator",
    "console_login",
    "secret_hash",
];

/// Comparisons that end at the first difference.
const IMPATIENT: [&str; 6] = ["==", "!=", ".eq(", ".ne(", ".cmp(", "starts_with("];

/// Where randomness is drawn: at the roof, and by the library that makes keys and signatures.
const DOORS: [&str; 2] = ["crates/bin/src/world.rs", "crates/wire/src/jwk/"];

/// Sources of randomness.
const RANDOM: [&str; 5] = [
    "rand::fill",
    "SystemRandom",
    "getrandom",
    "thread_rng",
    "/dev/urandom",
];

#[test]
fn cry_01_secrets_are_compared_in_one_place_in_the_same_time_whatever_they_are() {
    assert_none(&programs().iter().flat_map(impatient).collect::<Vec<_>>());
    let secret = read("crates/model/src/secret.rs");
    assert_none(&comparable(&secret).into_iter().collect::<Vec<_>>());
    let compares = read(COMPARES);
    let (_, equal) = compares
        .text
        .split_once("pub fn equal(left: &[u8], right: &[u8]) -> bool {\n")
        .expect("the one comparison");
    let body = equal.lines().next().map(str::trim);
    assert_eq!(
        body,
        Some("constant_time::verify_slices_are_equal(left, right).is_ok()")
    );
}

#[test]
fn cry_02_randomness_comes_through_one_door() {
    assert_none(&programs().iter().flat_map(drawing).collect::<Vec<_>>());
}

/// All that the program is built from.
fn programs() -> Vec<Source> {
    let folders = crates(&root());
    let ours = folders.iter().filter(|folder| *folder != "crates/bench");
    ours.flat_map(|folder| below(&root(), &format!("{folder}/src")))
        .collect()
}

fn read(path: &str) -> Source {
    let text = std::fs::read_to_string(root().join(path)).expect("a source is text");
    source(path, &text)
}

fn source(path: &str, text: &str) -> Source {
    Source {
        path: PathBuf::from(path),
        text: text.to_owned(),
        only_in_tests: false,
    }
}

/// Comparisons that are not the one, or that are of a secret and end at the first difference.
fn impatient(source: &Source) -> Vec<String> {
    let is_the_place = source.path.starts_with(COMPARES);
    let says = |code: &str, words: &[&str]| words.iter().any(|word| code.contains(word));
    let found = source.program().filter(|(_, code)| {
        (!is_the_place && says(code, &CONSTANT_TIME))
            || (says(code, &SECRETS) && says(code, &IMPATIENT))
    });
    found
        .map(|(line, code)| format!("{}: `{}`", source.at(line), code.trim()))
        .collect()
}

/// Whether `Secret` can be compared after all.
fn comparable(source: &Source) -> Option<String> {
    let words = ["PartialEq", "PartialOrd", "Hash", "Serialize", "Display"];
    source.program().find_map(|(line, code)| {
        let word = words.iter().find(|word| code.contains(**word))?;
        Some(format!("{}: a secret has `{word}`", source.at(line)))
    })
}

/// Draws of randomness beside the door.
fn drawing(source: &Source) -> Vec<String> {
    if DOORS.iter().any(|door| source.at(0).starts_with(door)) {
        return Vec::new();
    }
    let found = source.program().filter_map(|(line, code)| {
        let word = RANDOM.iter().find(|word| code.contains(**word))?;
        Some(format!("{}: draws from `{word}`", source.at(line)))
    });
    found.collect()
}

#[test]
fn comparison_that_tells_by_its_time_is_refused() {
    let file = |text: &str| source("crates/authority/src/ctx.rs", text);
    for wrong in [
        "if secret.expose() == given { }",
        "if config.local_administrator != hash { }",
        "constant_time::verify_slices_are_equal(a, b)",
        "login.secret_hash.eq(&hash)",
    ] {
        assert_eq!(impatient(&file(wrong)).len(), 1, "{wrong}");
    }
    for right in [
        "if hash::equal(hash.as_bytes(), authority.config.local_administrator.as_bytes()) { }",
        "// secret.expose() == given",
        "if revision == 1 { }",
    ] {
        assert!(impatient(&file(right)).is_empty(), "{right}");
    }
    let place = source(COMPARES, "use aws_lc_rs::constant_time;");
    assert!(impatient(&place).is_empty());
    assert!(comparable(&file("#[derive(PartialEq)]")).is_some());
    assert!(comparable(&file("pub struct Secret<T>(T);")).is_none());
}

#[test]
fn randomness_beside_the_door_is_refused() {
    let text = "rand::fill(bytes).expect(\"randomness\");";
    assert_eq!(
        drawing(&source("crates/authority/src/state.rs", text)).len(),
        1
    );
    assert!(drawing(&source("crates/bin/src/world.rs", text)).is_empty());
    assert!(
        drawing(&source(
            "crates/authority/src/state.rs",
            "entropy.fill(bytes);"
        ))
        .is_empty()
    );
}
