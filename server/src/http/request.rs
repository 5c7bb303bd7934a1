//! What every request goes through: its body comes whole and in time, and what is refused is said as JSON.
//!
//! Promises: at most [`BODY_MAX`] octets of a body are held; a body that drips, or that a shutdown overtakes, holds nobody up.
//! Never: looks into a body.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::limits::{BODY_MAX, BODY_TIME};
use super::wire::Failure;
use crate::shutdown::Shutdown;

/// Octets of a refusal's text that are kept.
const TEXT_MAX: usize = 4 * 1024;

/// Reads the body to its end before anybody works on the request.
pub(super) async fn whole(
    State(mut shutdown): State<Shutdown>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let read = tokio::select! {
        biased;
        read = timeout(BODY_TIME, to_bytes(body, BODY_MAX)) => read,
        () = shutdown.begun() => {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, "shutting down, try again later");
        }
    };
    match read {
        Ok(Ok(body)) => next.run(Request::from_parts(head, Body::from(body))).await,
        Ok(Err(_)) => {
            let text = format!("the body is broken off, or longer than {BODY_MAX} octets");
            refusal(StatusCode::PAYLOAD_TOO_LARGE, text)
        }
        Err(_) => {
            let text = format!("the body did not come within {} s", BODY_TIME.as_secs());
            refusal(StatusCode::REQUEST_TIMEOUT, text)
        }
    }
}

/// Says every refusal as `{"error": ...}`, those of the framework included; `/readyz` says its reasons as lines.
pub(super) async fn told_as_json(request: Request, next: Next) -> Response {
    let what = format!("{} {}", request.method(), request.uri().path());
    let is_for_probes = request.uri().path() == "/readyz";
    let response = next.run(request).await;
    let status = response.status();
    let is_json = response.headers().get(header::CONTENT_TYPE)
        == Some(&HeaderValue::from_static("application/json"));
    if is_json || is_for_probes || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let text = to_bytes(body, TEXT_MAX).await.unwrap_or_default();
    let text = match String::from_utf8_lossy(&text).trim() {
        "" => format!("{what}: {status}"),
        text => text.to_owned(),
    };
    let told = refusal(status, text);
    head.headers.remove(header::CONTENT_LENGTH);
    let (told_head, body) = told.into_parts();
    head.headers.extend(told_head.headers);
    Response::from_parts(head, body)
}

fn refusal(status: StatusCode, text: impl Into<String>) -> Response {
    (status, Json(Failure { error: text.into() })).into_response()
}
