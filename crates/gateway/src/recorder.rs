//! The recorder: whatever keeps the record durable, as the gateway sees it.

use std::future::Future;
use std::pin::Pin;

use chancery_model::event::Event;

/// Evidence that an event is durable; forwarding consumes it (SI-9).
#[derive(Debug)]
pub struct Recorded {
    _private: (),
}

impl Recorded {
    /// For whoever implements [`Recorder`]: call this only after the event is durable.
    pub fn after_durable_write() -> Self {
        Self { _private: () }
    }
}

/// The record cannot be written; whatever asked must refuse.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the record cannot be written")]
pub struct RecordUnavailable;

/// Writes events durably, in batches.
pub trait Recorder: Send + Sync + 'static {
    /// Resolves once `event` is durable.
    fn record(
        &self,
        event: Event,
    ) -> Pin<Box<dyn Future<Output = Result<Recorded, RecordUnavailable>> + Send + '_>>;
}
