//! The gateway's recorder, when it runs in the process of the authority.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use chancery_gateway::recorder::{RecordUnavailable, Recorded, Recorder};
use chancery_model::event::Event;

use crate::state::Authority;

/// Writes into the journal of an authority.
pub struct JournalRecorder(pub Arc<Authority>);

impl Recorder for JournalRecorder {
    fn record(
        &self,
        event: Event,
    ) -> Pin<Box<dyn Future<Output = Result<Recorded, RecordUnavailable>> + Send + '_>> {
        Box::pin(async move {
            self.0
                .journal
                .append(event)
                .await
                .map_err(|_| RecordUnavailable)?;
            Ok(Recorded::after_durable_write())
        })
    }
}
