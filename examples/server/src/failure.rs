use axum::Json;
use axum::http::header::{ALLOW, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request gets no result: a status and `{"error": {"code", "message"}}`.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("there is nothing here; POST a photograph to /segment, or GET /healthz")]
    NotFound,
    #[error("this takes {allowed} alone")]
    Method { allowed: &'static str },
    #[error("the query is not understood: {0}")]
    Query(String),
    #[error("threshold is {0}, but a probability threshold lies in [0, 1]")]
    Threshold(f32),
    #[error("the answer can be application/json or image/png; Accept asks for neither")]
    NotAcceptable,
    #[error("the body is empty; it must be the bytes of a photograph")]
    Empty,
    #[error("the upload is larger than the {limit} bytes that are taken")]
    TooLarge { limit: usize },
    #[error("the upload did not come within {seconds} seconds")]
    Slow { seconds: f64 },
    #[error("the upload broke off")]
    Broken,
    #[error(
        "the body must be the bytes of the photograph alone, not a form: curl --data-binary @photo.jpg"
    )]
    Multipart,
    #[error("{0}")]
    Format(String),
    #[error("{0}")]
    Photograph(String),
    #[error("as many photographs as may wait are waiting; try again")]
    Busy,
    #[error("the segmentation was given up")]
    Cancelled,
    #[error("the server failed on this photograph: {0}")]
    Internal(String),
}

impl Failure {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method"),
            Self::Query(_) => (StatusCode::BAD_REQUEST, "query"),
            Self::Threshold(_) => (StatusCode::BAD_REQUEST, "threshold"),
            Self::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "not_acceptable"),
            Self::Empty => (StatusCode::BAD_REQUEST, "empty"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::Slow { .. } => (StatusCode::REQUEST_TIMEOUT, "slow"),
            Self::Broken => (StatusCode::BAD_REQUEST, "broken"),
            Self::Multipart => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "multipart"),
            Self::Format(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "format"),
            Self::Photograph(_) => (StatusCode::UNPROCESSABLE_ENTITY, "photograph"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Self::Cancelled => (StatusCode::SERVICE_UNAVAILABLE, "cancelled"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, code) = self.kind();
        let body = json!({"error": {"code": code, "message": self.to_string()}});
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Self::Method { allowed } = self {
            headers.insert(ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }
}
