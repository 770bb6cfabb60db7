//! Times as our API writes them.

use chancery_model::document::DateTime;
use chancery_model::time::Timestamp;

/// RFC 3339 in UTC, whole seconds.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    DateTime(time).to_string()
}
