//! What must never come twice, also not after a restart or from a copy of the machine.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::caller::{Caller, Party, access_token, claims};
use crate::program::Program;

/// How much is drawn from each process.
const DRAWS: usize = 50;

/// Ids, logins, token ids and signatures of one process.
async fn draw(program: &Program, data: &Path, agent: &Party, drawn: &mut BTreeSet<String>) {
    let caller = Caller::new(program, data);
    let mut add = |what: &Value| {
        let text = what.as_str().expect("a text").to_owned();
        assert!(drawn.insert(text.clone()), "`{text}` came twice");
        text
    };
    for _ in 0..DRAWS {
        let path = "/v1/owners/alice@example.com/logins";
        let login = caller
            .ask("POST", path, json!({"roles": ["auditor"]}))
            .await;
        let secret = add(&login.json()["token"]);
        // 256 bits as base64url, behind a prefix.
        assert_eq!(secret.len(), "chl_".len() + 43, "{secret}");
    }
    for _ in 0..DRAWS {
        let token = access_token(&caller.fresh_token(agent).await);
        add(&claims(&token)["jti"]);
    }
    // What is not sealed yet is not listed: those of the process before would come once more.
    caller.sealed().await;
    let events = caller.get("/v1/events?newest=true&limit=500").await;
    let started_here = events["items"].as_array().expect("a list").iter();
    for event in started_here.take(DRAWS) {
        add(&event["event"]["id"]);
    }
}

#[tokio::test]
async fn cry_02_restarted_or_cloned_program_never_repeats_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let program = Program::start(&data);
    let caller = Caller::new(&program, &data);
    let agent = caller.register("steady-bot").await;
    caller.resource().await;
    let mut drawn = BTreeSet::new();
    draw(&program, &data, &agent, &mut drawn).await;
    program.end();

    // The machine is cloned: two start from the same bytes.
    let clone = folder.path().join("clone");
    copy_folder(&data, &clone);
    let twins = [Program::start(&data), Program::start(&clone)];
    draw(&twins[0], &data, &agent, &mut drawn).await;
    draw(&twins[1], &clone, &agent, &mut drawn).await;
    assert_eq!(drawn.len(), 3 * 3 * DRAWS);
}

/// Copies the files of a folder with their permissions.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let file = entry.expect("a file");
        std::fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
    }
}
