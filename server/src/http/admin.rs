//! The administration: what `coldpost status`, `account`, `verify` and `snapshot` ask a running daemon.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use coldpost_engine::{Error, IndexProgress, Kind, snapshot, verify};
use futures::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Http;
use super::limits::{ACCOUNTS_MAX, ALIVE_EVERY, PROGRESS_EVERY};
use super::wire::{
    Accounts, AddAccount, Added, Answer, Answers, Batch, Collected, CompactLine, Delete, Deleted,
    Done, Failure, Garbage, IndexLine, IndexStanding, Rename, SearchWanted, SetPassword,
    SnapshotLine, Snapshots, Status, VerifyLine, in_full,
};
use crate::answer::answer;

/// An engine error as an answer.
pub(super) struct Failed(Error);

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed(error)
    }
}

/// The status of an answer that says what went wrong.
fn status_of(error: &Error) -> StatusCode {
    StatusCode::from_u16(answer(error.kind()).http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (
            status_of(&self.0),
            Json(Failure {
                error: in_full(&self.0),
            }),
        )
            .into_response()
    }
}

/// `GET /admin/status`
pub(super) async fn status(State(http): State<Arc<Http>>) -> Json<Status> {
    let doors = &http.reports.doors;
    Json(Status {
        listeners: doors.list(),
        open_files_max: doors.open_files(),
        bucket: Some(http.engine.bucket_usage().into()),
        ..Status::new(http.health(), true)
    })
}

/// Which accounts are asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

/// `GET /admin/account?after=NAME&limit=N`
pub(super) async fn accounts(
    State(http): State<Arc<Http>>,
    Query(page): Query<Page>,
) -> Result<Json<Accounts>, Failed> {
    let limit = page.limit.unwrap_or(ACCOUNTS_MAX);
    Ok(Json(http.accounts.page(page.after.as_deref(), limit)?))
}

/// `POST /admin/account`
pub(super) async fn add_account(
    State(http): State<Arc<Http>>,
    Json(wanted): Json<AddAccount>,
) -> Result<(StatusCode, Json<Added>), Failed> {
    let added = http.accounts.add(vec![wanted]).await.pop();
    let added = added.ok_or_else(|| Error::new(Kind::Internal, "no answer"))??;
    let status = if added.new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(added)))
}

/// `POST /admin/account/batch`
pub(super) async fn add_accounts(
    State(http): State<Arc<Http>>,
    Json(batch): Json<Batch>,
) -> Json<Answers> {
    let answers = http.accounts.add(batch.accounts).await;
    let answers = answers.into_iter().map(Answer::from).collect();
    Json(Answers { answers })
}

/// `POST /admin/account/password`
pub(super) async fn set_password(
    State(http): State<Arc<Http>>,
    Json(wanted): Json<SetPassword>,
) -> Result<Json<Done>, Failed> {
    let SetPassword { name, password } = wanted;
    Ok(Json(http.accounts.set_password(&name, password).await?))
}

/// `POST /admin/account/rename`
pub(super) async fn rename_account(
    State(http): State<Arc<Http>>,
    Json(wanted): Json<Rename>,
) -> Result<Json<Done>, Failed> {
    Ok(Json(http.accounts.rename(&wanted.from, &wanted.to).await?))
}

/// `POST /admin/account/delete`
pub(super) async fn delete_account(
    State(http): State<Arc<Http>>,
    Json(wanted): Json<Delete>,
) -> Result<Json<Deleted>, Failed> {
    Ok(Json(
        http.accounts
            .delete(&wanted.name, wanted.apply, wanted.erase)
            .await?,
    ))
}

/// What a verification is about.
#[derive(Debug, Deserialize)]
pub(super) struct Verify {
    #[serde(default)]
    bucket: bool,
    #[serde(default)]
    repair: bool,
}

/// `POST /admin/verify?bucket=BOOL&repair=BOOL`: a JSON object a line, the last is `summary`, `bucket` or `failed`.
pub(super) async fn verify(
    State(http): State<Arc<Http>>,
    Query(what): Query<Verify>,
) -> Result<Response, Failed> {
    if what.repair && !what.bucket {
        return Err(Error::new(Kind::Invalid, "repair mends the store: say bucket too").into());
    }
    let permit = Arc::clone(&http.verifying)
        .try_acquire_owned()
        .map_err(|_| {
            Error::new(
                Kind::Conflict,
                "a verification is running already; wait for its end",
            )
        })?;
    let engine = http.engine.clone();
    Ok(in_lines(move |mut reporter| async move {
        let mut report = |event| {
            let is_progress = matches!(event, verify::Event::Progress { .. });
            reporter.report(VerifyLine::from(event), is_progress);
        };
        let target = verify::Target::Running(&engine);
        let end = match (what.bucket, what.repair) {
            (false, _) => verify::verify(target, &mut report).await.into(),
            (true, false) => verify::bucket::compare(target, &mut report).await.into(),
            (true, true) => verify::bucket::repair(&engine, &mut report).await.into(),
        };
        drop(permit);
        end
    }))
}

/// `POST /admin/search`: a JSON object a line, the last is `summary` or `failed`.
pub(super) async fn search(
    State(http): State<Arc<Http>>,
    Json(wanted): Json<SearchWanted>,
) -> Response {
    let engine = http.engine.clone();
    in_lines(move |mut reporter| async move {
        let mut tell = |line| reporter.report(line, false);
        super::search(&engine, &wanted, &mut tell).await
    })
}

/// `GET /admin/snapshot`
pub(super) async fn snapshots(State(http): State<Arc<Http>>) -> Result<Json<Snapshots>, Failed> {
    let known = http.engine.snapshots()?;
    let snapshots = known.into_iter().map(Into::into).collect();
    Ok(Json(Snapshots { snapshots }))
}

/// `POST /admin/snapshot`: a JSON object a line, the last is `done` or `failed`.
pub(super) async fn take_snapshots(State(http): State<Arc<Http>>) -> Response {
    let engine = http.engine.clone();
    in_lines(move |mut reporter| async move {
        let mut report = |event| {
            let is_progress = matches!(event, snapshot::Event::Progress { .. });
            reporter.report(SnapshotLine::from(event), is_progress);
        };
        engine.snapshot_now(&mut report).await.into()
    })
}

/// A JSON object a line of what work reports, its end last. The work ends when its reader goes away.
fn in_lines<T, F>(work: impl FnOnce(Reporter<T>) -> F) -> Response
where
    T: Serialize + Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (lines, receiver) = unbounded_channel();
    let work = work(Reporter {
        lines: lines.clone(),
        last_progress: None,
    });
    let task = tokio::spawn(async move {
        // Nobody listens any more: there is nobody to tell.
        let _ = lines.send(work.await);
    });
    Running::response(receiver, task)
}

/// Hands events on, of progress only some. Damage is never dropped: its number bounds the queue.
struct Reporter<T> {
    lines: UnboundedSender<T>,
    last_progress: Option<Instant>,
}

impl<T> Reporter<T> {
    fn report(&mut self, line: T, is_progress: bool) {
        if is_progress {
            if self
                .last_progress
                .is_some_and(|last| last.elapsed() < PROGRESS_EVERY)
            {
                return;
            }
            self.last_progress = Some(Instant::now());
        }
        // Who asked went away: the task is ended by `Running`.
        let _ = self.lines.send(line);
    }
}

/// `POST /admin/compact`: a JSON object a line, the last is `summary` or `failed`. It ends when its reader goes away, at the next step.
pub(super) async fn compact(State(http): State<Arc<Http>>) -> Response {
    let engine = http.engine.clone();
    in_lines(move |mut reporter| async move {
        let mut tell = |report: &_| reporter.report(CompactLine::of(report), true);
        engine.compact_now(&mut tell).await.into()
    })
}

/// `GET /admin/index`
pub(super) async fn index(State(http): State<Arc<Http>>) -> Json<IndexStanding> {
    Json(IndexStanding {
        figures: http.engine.index_figures(),
    })
}

/// `POST /admin/index/rebuild`: a JSON object a line, the last is `rebuilt` or `failed`. It goes on when its reader goes away.
pub(super) async fn rebuild_index(State(http): State<Arc<Http>>) -> Response {
    let engine = http.engine.clone();
    in_lines(move |mut reporter| async move {
        let mut tell = |now: IndexProgress| reporter.report(IndexLine::from(now), true);
        engine.rebuild_index(&mut tell).await.into()
    })
}

/// `POST /admin/index/check`: a JSON object a line, the last is `checked` or `failed`.
pub(super) async fn check_index(State(http): State<Arc<Http>>) -> Response {
    let engine = http.engine.clone();
    in_lines(move |mut reporter| async move {
        let mut tell = |now: IndexProgress| reporter.report(IndexLine::from(now), true);
        engine.check_index(&mut tell).await.into()
    })
}

/// `GET /admin/gc`
pub(super) async fn garbage(State(http): State<Arc<Http>>) -> Result<Json<Garbage>, Failed> {
    Ok(Json(http.engine.garbage().await?.into()))
}

/// `POST /admin/gc`: what was done, beside the `error` where not all went.
pub(super) async fn collect(State(http): State<Arc<Http>>) -> (StatusCode, Json<Collected>) {
    let ended = http.engine.delete_now().await;
    let failed = ended.as_ref().err();
    let status = failed.map_or(StatusCode::OK, |in_part| status_of(&in_part.error));
    (status, Json(ended.into()))
}

/// Work that somebody reads of; it ends when its reader goes away.
struct Running<T> {
    lines: UnboundedReceiver<T>,
    task: JoinHandle<()>,
}

impl<T: Serialize + Send + 'static> Running<T> {
    fn response(lines: UnboundedReceiver<T>, task: JoinHandle<()>) -> Response {
        let running = Running { lines, task };
        let body = Body::from_stream(stream::unfold(running, |mut running| async {
            let line = running.next().await?;
            Some((Ok::<_, std::convert::Infallible>(line), running))
        }));
        ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
    }

    /// The next line; an empty one when there was none for long.
    async fn next(&mut self) -> Option<Bytes> {
        let mut line = match timeout(ALIVE_EVERY, self.lines.recv()).await {
            Ok(line) => serde_json::to_vec(&line?).unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        line.push(b'\n');
        Some(line.into())
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
