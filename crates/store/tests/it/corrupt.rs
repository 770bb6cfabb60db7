//! STOR-03: a row that no version of this program writes is an error that names it, never a default.

use chancery_model::author::Author;
use chancery_model::id::{ResourceId, TokenId};
use chancery_model::mcp::{McpServer, ToolPin, Upstream};
use chancery_store::connect::Store;
use chancery_store::error::StoreError;
use chancery_store::logins::Login;
use chancery_store::resources::Resource;
use chancery_store::tx::Tx;
use chancery_store::{agents, logins, mcp_servers, owners, resources, revocations, versions};

use crate::make::{self, Counter, NOW};
use crate::place::everywhere;

/// One row of each table whose rows are parsed.
async fn inhabited(store: &Store) {
    let (owner, _) = make::inhabited(store).await;
    let mut tx = store.begin().await.expect("a transaction");
    let login = Login {
        secret_hash: make::once(9).hash,
        owner_id: owner.id,
        makers: vec![Author::LocalAdministrator],
        roles: vec!["auditor".to_owned()],
        created_at: NOW,
        expires_at: NOW.after(std::time::Duration::from_secs(60)),
    };
    logins::insert(&mut tx, &login).await.expect("a login");
    let resource = Resource {
        id: ResourceId::generate(NOW, &Counter),
        url: "https://r.example".to_owned(),
        jwks: None,
        authentication: Default::default(),
        bearer_until: None,
        created_at: NOW,
    };
    resources::insert(&mut tx, &resource)
        .await
        .expect("a resource");
    let pin = ToolPin {
        name: "add".to_owned(),
        digest: make::once(3).hash,
        definition: "{}".to_owned(),
        accepted_at: NOW,
    };
    let server = McpServer {
        id: ResourceId::generate(NOW, &Counter),
        name: "desk".to_owned(),
        upstream: Upstream::Http {
            url: "https://desk.example/mcp".to_owned(),
        },
        bearer_until: None,
        sign_in: Default::default(),
        created_at: NOW,
        removed_at: None,
        revision: 1,
        tools: vec![pin],
    };
    mcp_servers::insert(&mut tx, &server)
        .await
        .expect("a server");
    let token = TokenId::generate(NOW, &Counter);
    let later = NOW.after(std::time::Duration::from_secs(60));
    revocations::insert(&mut tx, token, later, NOW)
        .await
        .expect("a revocation");
    tx.commit(make::event(), Vec::new())
        .await
        .expect("a commit");
}

/// Reads every row of every table, as a start of the authority does.
async fn read_all(tx: &mut Tx) -> Result<(), StoreError> {
    for stored in agents::list_living(tx).await? {
        versions::list(tx, stored.agent.id, 0, 10).await?;
    }
    owners::list(tx, "", 10).await?;
    logins::list_live(tx, NOW).await?;
    resources::list(tx, "", 10).await?;
    mcp_servers::list(tx, "", 10).await?;
    revocations::list(tx, NOW).await?;
    Ok(())
}

#[tokio::test]
async fn stor_03_corrupt_row_is_an_error_that_names_table_column_and_row() {
    let damages = [
        ("agent", "name", "'Refund Bot!'"),
        ("agent", "revision", "NULL"),
        ("agent", "version_number", "1"),
        ("agent", "registered_by", "'somebody'"),
        ("agent_version", "proposed_by", "'somebody'"),
        ("agent_version", "document", "'{\"name\":'"),
        ("agent_version", "digest", "'sha256:00'"),
        ("agent_version", "previous", "'nothing'"),
        ("owner", "handle", "'nobody'"),
        ("login", "secret_hash", "'plain secret'"),
        ("resource", "id", "'rsc_'"),
        ("mcp_server", "upstream", "'{\"kind\":\"sh\"}'"),
        ("tool_pin", "digest", "''"),
        ("revoked_token", "jti", "'tok_!'"),
    ];
    everywhere(async |place| {
        let store = place.open().await;
        inhabited(&store).await;
        let mut tx = store.read().await.expect("a transaction");
        read_all(&mut tx).await.expect("whole rows");
        drop(tx);
        for (table, column, nonsense) in damages {
            place
                .run(&format!("CREATE TABLE kept AS SELECT * FROM {table}"))
                .await;
            // The table as it would be without the constraints that would have refused this.
            place
                .run(&format!(
                    "ALTER TABLE {table} RENAME TO whole; ALTER TABLE kept RENAME TO {table}"
                ))
                .await;
            place
                .run(&format!("UPDATE {table} SET {column} = {nonsense}"))
                .await;
            let mut tx = store.read().await.expect("a transaction");
            let error = read_all(&mut tx).await.expect_err(column);
            drop(tx);
            let named = error.to_string();
            match &error {
                StoreError::Corrupt {
                    table: found,
                    column: at,
                    row,
                } => {
                    assert_eq!(*found, table);
                    let blamed = if column == "version_number" {
                        "version_digest"
                    } else {
                        column
                    };
                    assert_eq!(*at, blamed);
                    assert!(!row.is_empty(), "{named}");
                }
                other => panic!("{table}.{column}: {other:?}"),
            }
            assert!(named.contains(table), "{named}");
            assert!(!error.is_retryable());
            place
                .run(&format!(
                    "DROP TABLE {table}; ALTER TABLE whole RENAME TO {table}"
                ))
                .await;
        }
        let mut tx = store.read().await.expect("a transaction");
        read_all(&mut tx).await.expect("whole rows again");
    })
    .await;
}

#[tokio::test]
async fn database_itself_refuses_states_that_no_rule_allows() {
    everywhere(async |place| {
        let store = place.open().await;
        inhabited(&store).await;
        for nonsense in [
            "UPDATE agent SET state = 'frozen'",
            "UPDATE agent SET state = 'suspended'",
            "UPDATE agent SET version_number = 7",
            "UPDATE agent_version SET number = 0",
            "UPDATE owner SET kind = 'agent'",
            "INSERT INTO change (id, number) VALUES (2, 0)",
        ] {
            assert!(!place.permits(nonsense).await, "{nonsense}");
        }
    })
    .await;
}
