//! Files on their way in: inputs from people as forms, results from workers as plain bodies.

use axum::{
    Json,
    body::Body,
    extract::{
        Multipart, State,
        multipart::{MultipartError, MultipartRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use proto::{failure::FailureCode, ids::ArtifactId, request::Fault};
use serde_json::json;
use tokio::time::timeout;

use super::extract::{discard, patient};
use crate::{
    front::{Front, SILENCE},
    problem::Problem,
};

/// The SHA-256 of the body that follows, in hex.
const CONTENT_SHA256: &str = "x-content-sha256";

/// `POST /api/assets`
pub(crate) async fn asset(
    State(front): State<Front>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, Problem> {
    let mut form = form.map_err(|rejection| {
        let detail = format!("{}; send a form with the field `file`", rejection.body_text());
        Problem::new(FailureCode::RequestMediaType, detail)
    })?;
    let next = timeout(SILENCE, form.next_field()).await;
    let next =
        next.map_err(|_| Problem::new(FailureCode::UploadCorrupt, "the form did not arrive in time"))?;
    let Some(field) = next.map_err(|error| broken(&error))? else {
        return Err(no_file("the form is empty"));
    };
    if field.name() != Some("file") {
        let name = field
            .name()
            .unwrap_or_default()
            .chars()
            .take(80)
            .collect::<String>();
        return Err(no_file(&format!("the first field is `{name}`")));
    }
    let filename = field.file_name().unwrap_or_default().to_owned();
    let asset = front.files.upload(&filename, patient(field)).await?;
    let location = format!("/api/assets/{}", asset.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(asset)).into_response())
}

/// `PUT /internal/artifacts`
pub(crate) async fn artifact(
    State(front): State<Front>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let id = match permitted(&front, &headers) {
        Ok(id) => id,
        Err(problem) => {
            discard(body).await;
            return Err(problem);
        }
    };
    let announced = headers.get(CONTENT_SHA256).and_then(|value| value.to_str().ok());
    let content = patient(body.into_data_stream());
    let stored = front.files.receive_artifact(id, announced, content).await?;
    let answer = json!({
        "id": id.to_string(),
        "size_bytes": stored.size_bytes.to_string(),
        "sha256": stored.sha256_hex(),
    });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

fn permitted(front: &Front, headers: &HeaderMap) -> Result<ArtifactId, Problem> {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let token = token
        .ok_or_else(|| Problem::new(FailureCode::UploadRefused, "the request carries no bearer token"))?;
    front.grants.check_upload(token.trim())
}

fn broken(error: &MultipartError) -> Problem {
    Problem::new(
        FailureCode::RequestMalformed,
        format!("the form cannot be read: {}", error.body_text()),
    )
}

fn no_file(found: &str) -> Problem {
    let message = format!("{found}; send the file as the form's field `file`");
    Problem::invalid(vec![Fault {
        pointer: "/file".to_owned(),
        message,
    }])
}
