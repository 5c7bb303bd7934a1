//! HTTP: is it alive, is it ready, its counters, and what the command line asks a running daemon.
//!
//! Promises: everything but `/healthz`, `/readyz` and `/metrics` needs `Authorization: Bearer <token>`, compared in constant time.
//! Never: shows a password; mail to nobody but who has the token, and asks for it by a search.

mod admin;
mod connection;
pub mod limits;
mod request;
mod search;
pub mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use coldpost_engine::{Engine, Health};
use tokio::sync::Semaphore;

use crate::accounts::Accounts;
use crate::auth::Password;
use crate::budget::Budget;
use crate::listen::Watch;
use crate::metrics;
use crate::shutdown::{DRAIN, Shutdown};
use crate::start::Doors;

pub(crate) use connection::Bounded;
pub(crate) use limits::CONNECTIONS_MAX;
pub use search::search;

/// The header that says which start of the daemon answers (it stands in the data directory's `listen.json`).
pub const INSTANCE: &str = "coldpost-instance";

/// What `[http]` says, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Opens the administration.
    pub token: Password,
    /// Names this start of the daemon.
    pub instance: String,
}

/// What the routes work with.
struct Http {
    engine: Engine,
    accounts: Accounts,
    settings: Settings,
    reports: Reports,
    /// One verification at a time.
    verifying: Arc<Semaphore>,
}

/// What the rest of the server says about itself.
pub(crate) struct Reports {
    /// Of message bytes; only looked at.
    pub(crate) budget: Budget,
    /// Which listeners are gone, this one included.
    pub(crate) watch: Watch,
    /// The listeners, this one included.
    pub(crate) doors: Doors,
}

impl Http {
    /// How the engine and the listeners are.
    fn health(&self) -> Health {
        let mut health = self.engine.health();
        self.reports.watch.report(&mut health);
        self.reports.doors.report(&mut health);
        health
    }
}

/// Answers on `listener` until the shutdown word, then waits for open requests up to [`DRAIN`].
pub(crate) async fn run(
    listener: Bounded,
    engine: Engine,
    accounts: Accounts,
    settings: Settings,
    reports: Reports,
    shutdown: Shutdown,
) {
    let http = Http {
        engine,
        accounts,
        settings,
        reports,
        verifying: Arc::new(Semaphore::new(1)),
    };
    let router = router(Arc::new(http), shutdown.clone());
    let (mut graceful, mut bound) = (shutdown.clone(), shutdown.clone());
    let serving = axum::serve(listener, router)
        .with_graceful_shutdown(async move { graceful.begun().await })
        .into_future();
    let cut_off = async {
        bound.begun().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        _ = serving => {}
        () = cut_off => tracing::warn!("HTTP requests did not end in time and are cut off"),
    }
}

fn router(http: Arc<Http>, shutdown: Shutdown) -> Router {
    let admin = Router::new()
        .route("/admin/status", get(admin::status))
        .route(
            "/admin/account",
            get(admin::accounts).post(admin::add_account),
        )
        .route("/admin/account/batch", post(admin::add_accounts))
        .route("/admin/account/password", post(admin::set_password))
        .route("/admin/account/rename", post(admin::rename_account))
        .route("/admin/account/delete", post(admin::delete_account))
        .route("/admin/verify", post(admin::verify))
        .route("/admin/search", post(admin::search))
        .route("/admin/index", get(admin::index))
        .route("/admin/index/rebuild", post(admin::rebuild_index))
        .route("/admin/index/check", post(admin::check_index))
        .route("/admin/compact", post(admin::compact))
        .route("/admin/gc", get(admin::garbage).post(admin::collect))
        .route(
            "/admin/snapshot",
            get(admin::snapshots).post(admin::take_snapshots),
        )
        .route_layer(from_fn_with_state(Arc::clone(&http), bearer));
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .merge(admin)
        .layer(from_fn_with_state(shutdown, request::whole))
        .layer(from_fn(request::told_as_json))
        .with_state(http)
}

/// The process lives and answers.
async fn healthz(State(http): State<Arc<Http>>) -> Response {
    ([(INSTANCE, http.settings.instance.clone())], "ok\n").into_response()
}

/// Mail can be taken and read.
async fn readyz(State(http): State<Arc<Http>>) -> Response {
    let health = http.health();
    if health.ready {
        return "ready\n".into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        health.problems.join("\n") + "\n",
    )
        .into_response()
}

async fn scrape(State(http): State<Arc<Http>>) -> Response {
    // Sets the gauges that nobody sets in passing.
    http.engine.health();
    let (frames, frames_limit) = http.engine.frames_budget();
    metrics::budget("frames", frames, frames_limit);
    metrics::budget(
        "mail",
        http.reports.budget.used(),
        http.reports.budget.total(),
    );
    match metrics::text() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Lets through who shows the token.
async fn bearer(State(http): State<Arc<Http>>, request: Request, next: Next) -> Response {
    if shows_token(request.headers(), &http.settings.token) {
        return next.run(request).await;
    }
    let what =
        "show the token of the data directory's http-token file: Authorization: Bearer TOKEN";
    let failure = wire::Failure {
        error: what.to_owned(),
    };
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, "Bearer")],
        axum::Json(failure),
    )
        .into_response()
}

fn shows_token(headers: &HeaderMap, token: &Password) -> bool {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return false;
    };
    let (scheme, shown) = value.as_bytes().split_at(value.len().min(7));
    scheme.eq_ignore_ascii_case(b"bearer ") && token.matches(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Files;

    /// `/readyz` said "ready" while nobody took mail.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_listener_that_is_gone_is_said_by_readyz_and_status() {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = crate::lmtp::tests::settings(directory.path());
        let engine = Engine::open(settings).await.expect("a store");
        let (_trigger, shutdown) = crate::shutdown::channel();
        let watch = Watch::default();
        let files =
            Files::open(directory.path(), None, "", Budget::new(1 << 20)).expect("no files");
        let http = Http {
            engine: engine.clone(),
            accounts: Accounts::new(engine.clone(), files, "+"),
            settings: Settings {
                token: Password::new("s3same").expect("a token"),
                instance: "one".to_owned(),
            },
            reports: Reports {
                budget: Budget::new(1 << 20),
                watch: watch.clone(),
                doors: Doors::none(),
            },
            verifying: Arc::new(Semaphore::new(1)),
        };
        let http = Arc::new(http);
        let asked = readyz(State(Arc::clone(&http))).await;
        assert_eq!(asked.status(), StatusCode::OK);
        watch.over("lmtp", shutdown, async {}).await;
        let asked = readyz(State(Arc::clone(&http))).await;
        assert_eq!(asked.status(), StatusCode::SERVICE_UNAVAILABLE);
        let status = admin::status(State(http)).await;
        let problems = status.0.problems;
        assert!(problems[0].contains("listens for lmtp"), "{problems:?}");
        engine.close().await;
    }

    #[test]
    fn only_the_whole_token_opens() {
        let token = Password::new("s3same").expect("a token");
        let shown = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().expect("a value"));
            shows_token(&headers, &token)
        };
        assert!(shown("Bearer s3same") && shown("bearer s3same"));
        for wrong in [
            "Bearer",
            "Bearer ",
            "Bearer s3sam",
            "Bearer s3same ",
            "Basic s3same",
            "s3same",
            "",
        ] {
            assert!(!shown(wrong), "{wrong:?}");
        }
        assert!(!shows_token(&HeaderMap::new(), &token));
    }
}
