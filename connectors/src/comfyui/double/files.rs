//! Uploads and downloads.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use super::picture;
use super::routes::trouble;
use super::world::{Place, World};
use crate::comfyui::{FileRef, Folder};

/// Where `name.png [temp]` or `sub/name.png` lies, as `LoadImage` reads it.
pub(super) fn annotated(name: &str) -> Place {
    let marks = [Folder::Temp, Folder::Output, Folder::Input];
    let marked = marks.into_iter().find_map(|folder| {
        Some((
            name.strip_suffix(&format!("[{}]", folder.as_str()))?.trim_end(),
            folder,
        ))
    });
    let (path, folder) = marked.unwrap_or((name, Folder::Input));
    let (subfolder, filename) = path.rsplit_once('/').unwrap_or(("", path));
    Place::of(&FileRef {
        filename: filename.to_owned(),
        subfolder: subfolder.to_owned(),
        folder,
    })
}

pub(super) async fn view(
    State(world): State<Arc<World>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let text = |key: &str| query.get(key).map(String::as_str);
    let Some(filename) = text("filename").filter(|name| !name.is_empty()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Some(folder) = root(text("type").unwrap_or("output")) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if filename.starts_with('/') || filename.contains("..") {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let subfolder = text("subfolder").unwrap_or_default().to_owned();
    if subfolder.starts_with('/') || subfolder.contains("..") {
        return StatusCode::FORBIDDEN.into_response();
    }
    let place = Place {
        folder,
        subfolder,
        filename: filename.to_owned(),
    };
    let Some(content) = world.read(|state| state.files.get(&place).cloned()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let head = [
        (header::CONTENT_TYPE, media_type(filename).to_owned()),
        (header::CONTENT_DISPOSITION, format!("filename=\"{filename}\"")),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::ETAG, format!("\"{:x}\"", content.len())),
    ];
    match headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok())
        .map(|range| part(range, &content))
    {
        None => (head, content).into_response(),
        Some(None) => StatusCode::RANGE_NOT_SATISFIABLE.into_response(),
        Some(Some((piece, range))) => (
            StatusCode::PARTIAL_CONTENT,
            head,
            [(header::CONTENT_RANGE, range)],
            piece,
        )
            .into_response(),
    }
}

fn root(word: &str) -> Option<&'static str> {
    [Folder::Input, Folder::Output, Folder::Temp]
        .map(Folder::as_str)
        .into_iter()
        .find(|name| *name == word)
}

fn media_type(filename: &str) -> &'static str {
    match filename.rsplit_once('.').map(|(_, extension)| extension) {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("gif") => "image/gif",
        Some("mp4") => "video/mp4",
        Some("webm") => "video/webm",
        _ => "application/octet-stream",
    }
}

/// `bytes=first-last` of a content, with what it is called.
fn part(range: &str, content: &Bytes) -> Option<(Bytes, String)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first: usize = first.parse().ok()?;
    let end = last
        .parse::<usize>()
        .map_or(content.len(), |last| (last + 1).min(content.len()));
    if first >= end {
        return None;
    }
    Some((
        content.slice(first..end),
        format!("bytes {first}-{}/{}", end - 1, content.len()),
    ))
}

/// An upload's fields.
#[derive(Default)]
struct Fields {
    file: Option<(String, Bytes)>,
    texts: HashMap<String, String>,
}

pub(super) async fn upload_image(State(world): State<Arc<World>>, multipart: Multipart) -> Response {
    upload(&world, multipart, false).await
}

/// A mask's alpha channel goes into a copy of the picture that `original_ref` names, and that is what is
/// kept. Without that picture nothing is kept, and the answer is the same.
pub(super) async fn upload_mask(State(world): State<Arc<World>>, multipart: Multipart) -> Response {
    upload(&world, multipart, true).await
}

/// The picture that a mask is for; the error is the answer.
fn original(world: &World, said: Option<&str>) -> Result<Option<Bytes>, Response> {
    let said: Value = said
        .and_then(|said| serde_json::from_str(said).ok())
        .ok_or_else(trouble)?;
    let text = |key: &str| said[key].as_str();
    let filename = text("filename")
        .filter(|name| !name.is_empty())
        .ok_or_else(trouble)?;
    let folder = root(text("type").unwrap_or("output")).ok_or(StatusCode::BAD_REQUEST.into_response())?;
    let subfolder = text("subfolder").unwrap_or_default();
    if filename.starts_with('/') || filename.contains("..") {
        return Err(StatusCode::BAD_REQUEST.into_response());
    }
    if subfolder.contains("..") {
        return Err(StatusCode::FORBIDDEN.into_response());
    }
    let place = Place {
        folder,
        subfolder: subfolder.to_owned(),
        filename: filename.to_owned(),
    };
    Ok(world.read(|state| state.files.get(&place).cloned()))
}

async fn upload(world: &World, multipart: Multipart, is_mask: bool) -> Response {
    let fields = match fields(multipart).await {
        Ok(fields) => fields,
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return (error.status(), "Maximum request body size 104857600 exceeded.").into_response();
        }
        Err(_) => return trouble(),
    };
    let Some((filename, content)) = fields.file.filter(|(_, content)| !content.is_empty()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if filename.is_empty() || filename.contains('/') {
        return trouble();
    }
    let text = |key: &str| fields.texts.get(key).map(String::as_str);
    let Some(folder) = root(text("type").unwrap_or("input")) else {
        return trouble();
    };
    let subfolder = text("subfolder").unwrap_or_default().to_owned();
    if subfolder.contains("..") {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let content = if is_mask {
        match original(world, text("original_ref")) {
            Err(answer) => return answer,
            Ok(None) => None,
            Ok(Some(original)) => match picture::with_alpha(&original, &content) {
                None => return trouble(),
                masked => masked,
            },
        }
    } else {
        Some(content)
    };
    let overwrite = matches!(text("overwrite"), Some("true" | "1"));
    let place = world.edit(|state| {
        let place = |filename: String| Place {
            folder,
            subfolder: subfolder.clone(),
            filename,
        };
        let (stem, extension) = filename
            .rsplit_once('.')
            .map_or((filename.as_str(), ""), |(stem, _)| {
                (stem, &filename[stem.len()..])
            });
        let numbered = (1_u32..).map(|count| format!("{stem} ({count}){extension}"));
        let mut names = std::iter::once(filename.clone()).chain(numbered).map(place);
        let free = |place: &Place| {
            overwrite
                || state
                    .files
                    .get(place)
                    .is_none_or(|there| Some(there) == content.as_ref())
        };
        let place = names.find(free)?;
        if let Some(content) = &content {
            state.files.insert(place.clone(), content.clone());
        }
        Some(place)
    });
    let Some(place) = place else { return trouble() };
    Json(json!({"name": place.filename, "subfolder": place.subfolder, "type": place.folder})).into_response()
}

async fn fields(mut multipart: Multipart) -> Result<Fields, MultipartError> {
    let mut fields = Fields::default();
    while let Some(field) = multipart.next_field().await? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "image" {
            let filename = field.file_name().unwrap_or_default().to_owned();
            fields.file = Some((filename, field.bytes().await?));
        } else {
            fields.texts.insert(name, field.text().await?);
        }
    }
    Ok(fields)
}
