//! The lanes that can close: issuing, asking for a person, introspection, userinfo and AuthZEN are sent away when more comes
//! than can be answered (DOS-08). Everything else, stops above all, keeps its way.

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chancery_wire::oauth::{ErrorCode, OAuthError};

use crate::consent::{push, wait};
use crate::enforcement::authzen::{self, Asker};
use crate::error::Error;
use crate::extract;
use crate::router::guard::guard;
use crate::tokens::{Endpoints, form, introspect, issue, userinfo};

/// What a lane leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// `/oauth/token`.
    Token,
    /// `/oauth/par`.
    Push,
    /// `/oauth/device_authorization`.
    Device,
    /// `/oauth/introspect`.
    Introspection,
    /// `/oauth/userinfo`.
    UserInfo,
    /// `/access/v1/evaluation`.
    Evaluation,
    /// `/access/v1/evaluations`.
    Evaluations,
}

/// Answers a request to a lane.
pub(super) async fn answer(endpoints: &Endpoints, lane: Lane, request: Request) -> Response {
    let work = |request| walk(endpoints, lane, request);
    guard(&endpoints.authority, request, work).await
}

async fn walk(endpoints: &Endpoints, lane: Lane, request: Request) -> Response {
    let is_taken = request.method() == Method::POST
        || lane == Lane::UserInfo && request.method() == Method::GET;
    if !is_taken {
        let allow = (header::ALLOW, HeaderValue::from_static(lane.allow()));
        return ([allow], Error::MethodNotAllowed).into_response();
    }
    // Before the body is read and anything is computed: sending away must stay cheap.
    let pressure = &endpoints.authority.pressure;
    if !pressure.has_room() {
        return lane.sent_away();
    }
    let (head, body) = request.into_parts();
    let headers = &head.headers;
    let asker = match lane {
        Lane::Token | Lane::Push | Lane::Device | Lane::Introspection | Lane::UserInfo => None,
        // What a stranger wants to have decided is not even read.
        Lane::Evaluation | Lane::Evaluations => match Asker::authenticate(endpoints, &head) {
            Ok(asker) => Some(asker),
            Err(error) => return authzen::refused(headers, error),
        },
    };
    let body = match &asker {
        None => form::read(body).await.map_err(oauth),
        Some(_) => extract::read(body)
            .await
            .map_err(|error| authzen::refused(headers, error)),
    };
    let body = match body {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    // Only now, so that a body that comes slowly takes up nobody's room.
    let Some(_room) = pressure.admit() else {
        return lane.sent_away();
    };
    match (lane, asker) {
        (Lane::Token, _) => issue::issue(endpoints, &head, &body).await,
        (Lane::Push, _) => push::push(endpoints, &head, &body).await,
        (Lane::Device, _) => wait::wait(endpoints, &head, &body).await,
        (Lane::Introspection, _) => introspect::introspect(endpoints, &head, &body).await,
        (Lane::UserInfo, _) => userinfo::tell(endpoints, &head).await,
        (Lane::Evaluation, Some(asker)) => {
            authzen::evaluation(endpoints, asker, &head, &body).await
        }
        (Lane::Evaluations, Some(asker)) => {
            authzen::evaluations(endpoints, asker, &head, &body).await
        }
        (Lane::Evaluation | Lane::Evaluations, None) => {
            authzen::refused(&head.headers, Error::Unauthenticated)
        }
    }
}

impl Lane {
    /// What may be asked with.
    fn allow(self) -> &'static str {
        match self {
            Self::UserInfo => "GET, POST",
            Self::Token
            | Self::Push
            | Self::Device
            | Self::Introspection
            | Self::Evaluation
            | Self::Evaluations => "POST",
        }
    }

    /// What those are told for whom there is no room.
    fn sent_away(self) -> Response {
        match self {
            Self::Token | Self::Push | Self::Device | Self::Introspection | Self::UserInfo => {
                let retry = (header::RETRY_AFTER, HeaderValue::from_static("1"));
                let error = OAuthError::new(
                    ErrorCode::TemporarilyUnavailable,
                    "the authority has too much to do",
                );
                ([retry], oauth(error)).into_response()
            }
            Self::Evaluation | Self::Evaluations => Error::Unavailable.into_response(),
        }
    }
}

fn oauth(error: OAuthError) -> Response {
    let status = error.code.status();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, axum::Json(error)).into_response()
}
