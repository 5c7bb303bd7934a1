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
use bytes::Bytes;
use tokio::time::timeout;

use super::limits::{BODY_MAX, BODY_TIME};
use super::wire::Failure;
use crate::shutdown::Shutdown;

/// Octets of a refusal's text that are kept.
const TEXT_MAX: usize = 4 * 1024;

/// Reads the body to its end before anybody works on the request.
pub(super) async fn whole(
    State(shutdown): State<Shutdown>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    match read(body, shutdown).await {
        Ok(body) => next.run(Request::from_parts(head, Body::from(body))).await,
        Err((status, text)) => refusal(status, text),
    }
}

async fn read(body: Body, mut shutdown: Shutdown) -> Result<Bytes, (StatusCode, String)> {
    let read = tokio::select! {
        biased;
        read = timeout(BODY_TIME, to_bytes(body, BODY_MAX)) => read,
        () = shutdown.begun() => {
            let text = "shutting down, try again later".to_owned();
            return Err((StatusCode::SERVICE_UNAVAILABLE, text));
        }
    };
    match read {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => {
            let text = format!("the body is broken off, or longer than {BODY_MAX} octets");
            Err((StatusCode::PAYLOAD_TOO_LARGE, text))
        }
        Err(_) => {
            let text = format!("the body did not come within {} s", BODY_TIME.as_secs());
            Err((StatusCode::REQUEST_TIMEOUT, text))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown;
    use futures::stream;
    use std::convert::Infallible;
    use std::time::Duration;
    use tokio::time::{Instant, sleep};

    /// A byte every second, without an end.
    fn dripping() -> Body {
        Body::from_stream(stream::unfold((), async |()| {
            sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, Infallible>("x"), ()))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_ends_in_time_and_at_once_with_the_shutdown() {
        let (trigger, shutdown) = shutdown::channel();
        let before = Instant::now();
        let refused = read(dripping(), shutdown.clone())
            .await
            .expect_err("too slow");
        assert_eq!(refused.0, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(before.elapsed(), BODY_TIME);
        trigger.pull();
        let whole = read(Body::from("whole"), shutdown.clone()).await;
        assert_eq!(whole.expect("it was there"), "whole");
        let before = Instant::now();
        let refused = read(dripping(), shutdown).await.expect_err("shutting down");
        assert_eq!(refused.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}
