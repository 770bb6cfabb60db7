//! Refusals of `/v1`: one variant per way that a caller could act on, each with its status and code.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chancery_api::problem::Problem;
use chancery_model::agent::IllegalTransition;
use chancery_model::event::Event;
use chancery_model::id::PasskeyId;
use chancery_model::reason::InvalidReason;
use chancery_store::error::StoreError;
use chancery_store::journal::AppendError;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body or a parameter is not what the endpoint takes.
    #[error("{0}")]
    Invalid(String),
    /// No credential, or one that nobody knows.
    #[error("this needs a login")]
    Unauthenticated,
    /// Nobody was signed in; everyone is told the same, and the record says why.
    #[error("that did not sign anybody in")]
    SignInRefused(NotSignedIn),
    /// The person signed in too long ago for this.
    #[error("this needs a sign-in of the last five minutes")]
    SignInAgain(Box<Event>),
    /// The decision point refused the act; the event goes to the record before the answer leaves.
    #[error("{reason}")]
    Denied {
        /// Why, for people.
        reason: String,
        /// The refusal, for the record.
        event: Option<Box<Event>>,
    },
    /// The thing does not exist, or is not the caller's to know.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The thing is there, and the method is none that it answers.
    #[error("the method is not one of those that this answers")]
    MethodNotAllowed,
    /// The request, or what it needed, took longer than an answer may.
    #[error("the request took too long")]
    TooLate,
    /// The thing exists, or its state does not allow the act.
    #[error("{0}")]
    Conflict(String),
    /// What was seen has changed since.
    #[error("the agent changed since it was read")]
    PreconditionFailed,
    /// A change must say what it was made from.
    #[error("this change needs `If-Match` with the revision that was read")]
    PreconditionRequired,
    /// A policy text or a tool definition cannot come into force.
    #[error("{title}")]
    Unacceptable {
        /// What is wrong, in short.
        title: String,
        /// What is wrong, each with its place.
        problems: Vec<String>,
    },
    /// Another transaction won three times in a row.
    #[error("the authority is busy with the same thing")]
    Busy,
    /// The database or the record is unavailable; nothing happened.
    #[error("the authority cannot record this now; look before you repeat it")]
    Unavailable,
    /// The act is done and durable, but the log has not sealed it in time.
    #[error("it is done and durable, but not yet proven: ask for its receipt later")]
    Unproven,
    /// A row or an invariant is broken; details are in the log line only.
    #[error("the authority found something broken and refused")]
    Broken,
}

/// Travels with an answer to the one place that records refusals.
///
/// A handler may be inside a transaction when it refuses, and the record has to wait for its end.
#[derive(Debug, Clone)]
pub(crate) struct ToRecord(pub(crate) Box<Event>);

/// Why nobody was signed in, for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotSignedIn {
    /// A stable code.
    pub code: &'static str,
    /// The passkey that was claimed, when it is known.
    pub passkey: Option<PasskeyId>,
}

/// Marks an answer whose unit of work may be run again as a whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunAgain;

impl Error {
    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated | Self::SignInRefused(_) => StatusCode::UNAUTHORIZED,
            Self::SignInAgain(_) | Self::Denied { .. } => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLate => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
            Self::Unacceptable { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Busy | Self::Unavailable | Self::Unproven => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable code of the problem document.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_request",
            Self::Unauthenticated => "unauthenticated",
            Self::SignInRefused(_) => "sign_in_refused",
            Self::SignInAgain(_) => "sign_in_again",
            Self::Denied { .. } => "access_denied",
            Self::NotFound(_) => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooLate => "too_late",
            Self::Conflict(_) => "conflict",
            Self::PreconditionFailed => "precondition_failed",
            Self::PreconditionRequired => "precondition_required",
            Self::Unacceptable { .. } => "unacceptable",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::Unproven => "unproven",
            Self::Broken => "internal_error",
        }
    }

    fn fix(&self) -> Option<String> {
        match self {
            Self::Unauthenticated => Some(
                "use `--data DIR` on the authority's machine, or set CHANCERY_TOKEN to a login"
                    .to_owned(),
            ),
            Self::SignInRefused(_) => {
                Some("try again, or ask an administrator for `chancery owner invite`".to_owned())
            }
            Self::SignInAgain(_) => {
                Some("sign in again with your passkey, then repeat it".to_owned())
            }
            Self::PreconditionFailed => {
                Some("read the agent again and repeat the change".to_owned())
            }
            Self::Unacceptable { problems, .. } => Some(problems.join("; ")),
            Self::Invalid(_)
            | Self::Denied { .. }
            | Self::NotFound(_)
            | Self::MethodNotAllowed
            | Self::TooLate
            | Self::Conflict(_)
            | Self::PreconditionRequired
            | Self::Busy
            | Self::Unavailable
            | Self::Unproven
            | Self::Broken => None,
        }
    }
}

impl From<InvalidReason> for Error {
    fn from(error: InvalidReason) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<IllegalTransition> for Error {
    fn from(error: IllegalTransition) -> Self {
        Self::Conflict(error.to_string())
    }
}

/// How often something is done again that gave way to others.
const ATTEMPTS: usize = 8;

/// Does `act`, again when it gave way to others who change the same rows. For what no client can ask for again; requests
/// that can be repeated are, by the router.
pub(crate) async fn again<T, F>(mut act: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for _attempt in 1..ATTEMPTS {
        match act().await {
            Err(Error::Busy) => {}
            done => return done,
        }
    }
    act().await
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::Busy,
            StoreError::Constraint => Self::Conflict(
                "that exists already, or refers to something that does not".to_owned(),
            ),
            StoreError::Unstorable => Self::Invalid("a text holds a NUL character".to_owned()),
            StoreError::Unavailable { .. } => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the database is unavailable"
                );
                Self::Unavailable
            }
            StoreError::Corrupt { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::UnknownUrl => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the store is broken"
                );
                Self::Broken
            }
        }
    }
}

impl From<AppendError> for Error {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Replayed => Self::Conflict("that was used before".to_owned()),
            AppendError::Lost => Self::Conflict("that is no longer as it was".to_owned()),
            AppendError::TooLarge => {
                Self::Invalid("that is more than the record can hold".to_owned())
            }
            AppendError::Full | AppendError::Unavailable => Self::Unavailable,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        let problem = Problem {
            status: status.as_u16(),
            code: self.code().to_owned(),
            title: self.to_string(),
            fix: self.fix(),
        };
        let mut response = (status, axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::SignInRefused(why) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                response.extensions_mut().insert(why);
            }
            Self::SignInAgain(event) => {
                response.extensions_mut().insert(ToRecord(event));
            }
            Self::Unauthenticated => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Busy => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                response.extensions_mut().insert(RunAgain);
            }
            Self::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::Denied {
                event: Some(event), ..
            } => {
                response.extensions_mut().insert(ToRecord(event));
            }
            Self::Denied { event: None, .. }
            | Self::Invalid(_)
            | Self::NotFound(_)
            | Self::MethodNotAllowed
            | Self::TooLate
            | Self::Conflict(_)
            | Self::PreconditionFailed
            | Self::PreconditionRequired
            | Self::Unacceptable { .. }
            | Self::Unproven
            | Self::Broken => {}
        }
        response
    }
}
