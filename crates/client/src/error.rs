//! What can go wrong between a client and an authority.

use chancery_api::problem::Problem;

/// Why a call had no answer of the shape that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The authority understood and refused.
    #[error("{}", .0.title)]
    Refused(Box<Problem>),
    /// Nobody answered, or not in time.
    #[error("cannot reach {url}: {why}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What failed.
        why: String,
        /// What to do about it.
        fix: String,
    },
    /// Somebody answered, but not as this version of Chancery does.
    #[error("{url} did not answer as expected: {why}")]
    NotOurs {
        /// What was asked.
        url: String,
        /// What was wrong with the answer.
        why: String,
    },
    /// What answers does not prove that it is the authority of the data folder that was meant.
    #[error(
        "what answers at {url} is not the authority of the data folder, so nothing was sent to it"
    )]
    Unproven {
        /// Where it listens.
        url: String,
    },
    /// The address must not be used.
    #[error("`{url}` cannot be used: {why}")]
    BadAddress {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A name that cannot stand in a path.
    #[error("`{0}` is not a name")]
    BadName(String),
}

impl ClientError {
    /// What to do about it, when that is known.
    pub fn fix(&self) -> Option<&str> {
        match self {
            Self::Refused(problem) => problem.fix.as_deref(),
            Self::Unreachable { fix, .. } => Some(fix),
            Self::NotOurs { .. } => {
                Some("check the address, and that client and authority are the same version")
            }
            Self::Unproven { .. } => Some(
                "that authority has ended and something else has its port: start it again with `chancery up`, \
                 with `--listen` for another port",
            ),
            Self::BadAddress { .. } => {
                Some("use `https://…`, or `http://127.0.0.1:PORT` on the same machine")
            }
            Self::BadName(_) => None,
        }
    }
}
