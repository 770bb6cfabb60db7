//! `up --test-login`: it does not start where it would be of use to anybody else. That it answers is tested with the
//! conformance suite of MCP, which it is for.

use std::process::{Command, Output};

fn up(words: &[&str]) -> Output {
    let data = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_chancery"));
    command.arg("--data").arg(data.path());
    command.args(["up", "--listen", "127.0.0.1:0"]).args(words);
    command.output().expect("the program")
}

#[test]
fn test_mode_is_for_loopback_alone() {
    let public = [
        "--issuer",
        "https://id.example",
        "--test-login",
        "a@example.com",
    ];
    let refused = up(&public);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("is for loopback alone"), "{said}");
    assert!(!said.contains("TEST MODE"), "{said}");
    assert!(refused.stdout.is_empty(), "it was never ready");
    let nobody = up(&["--test-login", "not a person"]);
    assert!(!nobody.status.success());
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(said.contains("cannot be a person"), "{said}");
}
