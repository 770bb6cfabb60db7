//! The desk on standard input and output, as a gateway spawns it.

use futures_util::future::BoxFuture;
use rmcp::ServiceExt;

use crate::desk::records::Records;
use crate::desk::tools::Desk;

/// Serves the desk on the standard streams of this process until they close.
///
/// Boxed, so that it is compiled with this crate and not anew with the program.
pub fn serve_stdio() -> BoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async {
        let running = Desk::new(Records::seeded())
            .serve(rmcp::transport::stdio())
            .await?;
        running.waiting().await?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use rmcp::model::ClientConfig;

    use super::*;

    #[tokio::test]
    async fn a_desk_on_a_pipe_offers_its_tools() {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move {
            Desk::new(Records::seeded())
                .serve(theirs)
                .await?
                .waiting()
                .await
                .map_err(anyhow::Error::from)
        });
        let client = ClientConfig::default().serve(ours).await.unwrap();
        assert_eq!(client.list_all_tools().await.unwrap().len(), 6);
        client.cancel().await.unwrap();
    }
}
