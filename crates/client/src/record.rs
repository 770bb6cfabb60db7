//! The record: searched over the API, and fetched as a stranger would fetch any C2SP log.

use bytes::Bytes;
use chancery_api::log::{EventQuery, LogView, LoggedEvent, Receipt};
use chancery_api::page::Page;
use http::header::ACCEPT;
use http::{Method, StatusCode};
use http_body_util::Full;

use crate::address;
use crate::authority::{Authority, not_ours, refusal};
use crate::error::ClientError;

impl Authority {
    /// The state of the record.
    pub async fn log_state(&self) -> Result<LogView, ClientError> {
        self.get(&["log"], &[]).await
    }

    /// Searches the record.
    pub async fn event_list(&self, query: &EventQuery) -> Result<Page<LoggedEvent>, ClientError> {
        let pairs: Vec<(&str, String)> = [
            ("after", query.after.map(|after| after.to_string())),
            ("limit", query.limit.map(|limit| limit.to_string())),
            ("kind", query.kind.clone()),
            ("agent", query.agent.clone()),
            ("newest", query.newest.then(|| "true".to_owned())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
        self.get(&["events"], &pairs).await
    }

    /// A receipt for one event.
    pub async fn receipt(&self, event: &str) -> Result<Receipt, ClientError> {
        self.get(&["receipts", event], &[]).await
    }

    /// The bytes of a file of the log, by its C2SP path; `None` when the log does not have it.
    ///
    /// Checkpoint and tiles are for everyone; bundles of entries need a login that may read the record.
    pub async fn log_file(&self, path: &str) -> Result<Option<Bytes>, ClientError> {
        let segments: Vec<&str> = ["log"].into_iter().chain(path.split('/')).collect();
        let url = address::join(&self.base, &segments)?;
        let request = self
            .request(Method::GET, &url)
            .await?
            .header(ACCEPT, "*/*")
            .body(Full::new(Bytes::new()))
            .map_err(|error| not_ours(&url, error.to_string()))?;
        let answer = self.transport.send(request).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer.body)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(refusal(&url, &answer)),
        }
    }
}
