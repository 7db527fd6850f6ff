//! `POST /batch/`: events as PostHog's SDKs send them.

use std::io::Read;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use hedgerow_engine::error::{Error, ErrorKind};
use hedgerow_engine::ingest::Senders;
use serde_json::json;

use super::Service;
use crate::error::http_status;

/// The longest body, as it is sent, and as it is after decompression.
pub(super) const BODY_BYTES_MAX: usize = 32 << 20;
/// Bytes that begin gzip; not all SDKs name the encoding.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Stores a batch as a whole: 200 once it is durable. 400 for a body that cannot be read, with
/// nothing stored; 401 for one without the token of a project; 413 for one that is too long; 503 with `Retry-After` when the same request can
/// succeed later.
pub(super) async fn batch(
    State(service): State<Service>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return refusal(rejection.status(), &rejection.body_text()),
    };
    let body = match decompressed(body) {
        Ok(body) => body,
        Err((status, reason)) => return refusal(status, &reason),
    };
    let no_tokens =
        matches!(service.senders.as_ref(), Senders::Tokens(tokens) if tokens.is_empty());
    if no_tokens && service.engine.takes_events() {
        let reason = "this server has no project tokens and takes no events from other machines: \
                      start it with --token";
        return refusal(StatusCode::UNAUTHORIZED, reason);
    }
    match service.engine.capture(Arc::clone(&service.senders), body).await {
        Ok(_) => Json(json!({ "status": "Ok" })).into_response(),
        Err(error) => failure(&error),
    }
}

/// Gzip, or bytes as they are.
fn decompressed(body: Bytes) -> Result<Bytes, (StatusCode, String)> {
    if !body.starts_with(&GZIP) {
        return Ok(body);
    }
    let mut text = Vec::new();
    let limit = BODY_BYTES_MAX as u64 + 1;
    GzDecoder::new(&body[..])
        .take(limit)
        .read_to_end(&mut text)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("not gzip: {error}")))?;
    if text.len() > BODY_BYTES_MAX {
        let message = format!("the body is longer than {} MiB", BODY_BYTES_MAX >> 20);
        return Err((StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    Ok(text.into())
}

fn failure(error: &Error) -> Response {
    let status = http_status(error.kind);
    if error.kind == ErrorKind::Internal {
        tracing::error!(%error, "a batch was not stored");
    }
    let mut response = refusal(status, &error.message);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        const SECONDS: HeaderValue = HeaderValue::from_static("1");
        response.headers_mut().insert(header::RETRY_AFTER, SECONDS);
    }
    response
}

/// In the shape that SDKs print.
fn refusal(status: StatusCode, reason: &str) -> Response {
    let kind = match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        status if status.is_server_error() => "server_error",
        _ => "validation_error",
    };
    (status, Json(json!({ "type": kind, "code": status.as_u16(), "detail": reason })))
        .into_response()
}
