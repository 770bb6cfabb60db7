//! The support desk of the demonstration, as a process of its own.

use std::io::Write;

use anyhow::Result;
use chancery_cli::roles::DeskArgs;
use chancery_demo::desk::ready::Ready;
use chancery_demo::desk::{http, stdio};
use tokio::net::TcpListener;

/// `chancery desk`.
pub(crate) async fn run(args: DeskArgs) -> Result<()> {
    let Some(address) = args.listen else {
        return stdio::serve_stdio().await;
    };
    let listener = TcpListener::bind(address).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", Ready::at(listener.local_addr()?).to_line())?;
    out.flush()?;
    http::serve_http(listener, Box::pin(std::future::pending())).await
}
