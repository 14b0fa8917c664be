//! The routes, and the bounds within which they work.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use http_body_util::LengthLimitError;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use venule::{Cancel, Segmenter};

use crate::asked::{Asked, Query as AskedQuery};
use crate::{Failure, Options, work};

/// What the routes share.
pub struct Server {
    segmenter: Segmenter,
    options: Options,
    /// Photographs at work and waiting, their uploads in memory.
    places: Arc<Semaphore>,
    /// Photographs at work, in the order in which their uploads were complete.
    workers: Arc<Semaphore>,
}

impl Server {
    /// # Errors
    /// If the options would serve nobody.
    pub fn new(segmenter: Segmenter, options: Options) -> Result<Self, String> {
        options.validate()?;
        Ok(Self {
            segmenter,
            places: Arc::new(Semaphore::new(options.workers + options.waiting)),
            workers: Arc::new(Semaphore::new(options.workers)),
            options,
        })
    }
}

/// The routes of a server.
pub fn router(server: Server) -> Router {
    Router::new()
        .route("/segment", post(segment).fallback(only_post))
        .route("/healthz", get(health).fallback(only_get))
        .fallback(|| async { Failure::NotFound })
        .with_state(Arc::new(server))
}

async fn only_post() -> Failure {
    Failure::Method { allowed: "POST" }
}

async fn only_get() -> Failure {
    Failure::Method {
        allowed: "GET, HEAD",
    }
}

async fn health(State(server): State<Arc<Server>>) -> Json<Value> {
    let options = &server.options;
    let taken = options.workers + options.waiting - server.places.available_permits();
    let working = options.workers - server.workers.available_permits();
    Json(json!({"status": "ok", "working": working, "waiting": taken.saturating_sub(working)}))
}

/// Cancels when it is dropped, as is everything of a request whose client has gone.
struct Waiting(Cancel);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

async fn segment(
    State(server): State<Arc<Server>>,
    query: Result<Query<AskedQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let Query(query) = query.map_err(|error| Failure::Query(error.body_text()))?;
    let asked = Asked::of(&query, &headers)?;
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| kind.starts_with("multipart/")) {
        return Err(Failure::Multipart);
    }
    // Before the upload is read: those that wait bound the memory.
    let place = server
        .places
        .clone()
        .try_acquire_owned()
        .map_err(|_| Failure::Busy)?;
    let upload = upload(&server.options, &headers, body).await?;
    // First come, first served.
    let worker = server
        .workers
        .clone()
        .acquire_owned()
        .await
        .map_err(|_| Failure::Cancelled)?;
    let waiting = Waiting(Cancel::new());
    let cancel = waiting.0.clone();
    let work = tokio::task::spawn_blocking(move || {
        // Held until the work has ended, whoever still waits for it.
        let _held = (place, worker);
        work::segment(&server.segmenter, &upload, asked, &cancel)
    });
    let done = work.await;
    drop(waiting);
    done.unwrap_or_else(|error| Err(Failure::Internal(error.to_string())))
}

/// The whole body, within its bounds of bytes and time.
async fn upload(options: &Options, headers: &HeaderMap, body: Body) -> Result<Bytes, Failure> {
    let limit = options.upload_mib << 20;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Failure::TooLarge { limit });
    }
    match timeout(options.upload_time, to_bytes(body, limit)).await {
        Err(_) => Err(Failure::Slow {
            seconds: options.upload_time.as_secs_f64(),
        }),
        Ok(Ok(bytes)) if bytes.is_empty() => Err(Failure::Empty),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => match error.into_inner().is::<LengthLimitError>() {
            true => Err(Failure::TooLarge { limit }),
            false => Err(Failure::Broken),
        },
    }
}
