//! Files in and out: uploads for `LoadImage` and its like, and downloads of results.

use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStream};
use reqwest::header::{CONTENT_TYPE, RANGE};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Answer, Client, transport, words};
use super::error::Error;
use super::output::{FileRef, Folder};

/// A file to upload.
#[derive(Debug)]
pub struct Upload {
    name: String,
    content: Body,
    length: u64,
    subfolder: String,
    folder: Folder,
    overwrite: bool,
}

/// Where an uploaded file lies. Its name is not always the one that was asked for: a different file of that
/// name makes the server choose another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// Where it lies.
    pub file: FileRef,
}

/// A part of a file, in bytes, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub first: u64,
    /// The last byte; to the end if `None`.
    pub last: Option<u64>,
}

/// A file that is being downloaded.
pub struct Download {
    /// Its media type, by its extension.
    pub content_type: Option<String>,
    /// How many bytes are coming, if the server says so.
    pub length: Option<u64>,
    /// Whether it is the part that was asked for; otherwise it is the whole file.
    pub partial: bool,
    operation: String,
    client: Client,
    response: reqwest::Response,
}

impl Upload {
    /// A file in memory, for the input folder.
    pub fn new(name: impl Into<String>, content: Bytes) -> Self {
        let length = content.len() as u64;
        Self::of(name.into(), content.into(), length)
    }

    /// A file that is streamed, for the input folder. `length` is in bytes and must be exact. The server
    /// takes 100 MiB by default (`max_upload_size` of [`Client::features`]).
    pub fn streamed<S>(name: impl Into<String>, length: u64, content: S) -> Self
    where
        S: TryStream<Ok = Bytes, Error = io::Error> + Send + 'static,
    {
        Self::of(name.into(), Body::wrap_stream(content), length)
    }

    fn of(name: String, content: Body, length: u64) -> Self {
        Self {
            name,
            content,
            length,
            subfolder: String::new(),
            folder: Folder::Input,
            overwrite: false,
        }
    }

    /// Puts it into a folder below the root, which is made if need be.
    #[must_use]
    pub fn subfolder(mut self, subfolder: impl Into<String>) -> Self {
        self.subfolder = subfolder.into();
        self
    }

    /// Puts it below another root.
    #[must_use]
    pub fn folder(mut self, folder: Folder) -> Self {
        self.folder = folder;
        self
    }

    /// Replaces a file of the same name instead of choosing another name.
    #[must_use]
    pub fn overwrite(mut self) -> Self {
        self.overwrite = true;
        self
    }

    fn form(self) -> Result<Form, Error> {
        if let Some(reason) = name_fault(&self.name) {
            return Err(Error::FileName {
                name: self.name,
                reason,
            });
        }
        let part = Part::stream_with_length(self.content, self.length).file_name(self.name);
        let form = Form::new().part("image", part).text("type", self.folder.as_str());
        let form = if self.subfolder.is_empty() {
            form
        } else {
            form.text("subfolder", self.subfolder)
        };
        Ok(if self.overwrite {
            form.text("overwrite", "true")
        } else {
            form
        })
    }
}

/// The server answers such names with a bare 500, or not at all.
fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.contains(['/', '\\']) {
        Some("it contains a path separator")
    } else if name == "." || name == ".." {
        Some("it names a directory")
    } else if name.chars().any(char::is_control) {
        Some("it contains control characters")
    } else if name.len() > 255 {
        Some("it is longer than 255 bytes")
    } else {
        None
    }
}

impl Uploaded {
    /// What to write into the `image` input of a `LoadImage` node: `sub/name.png`, with ` [temp]` or
    /// ` [output]` if it lies there.
    pub fn reference(&self) -> String {
        let FileRef {
            filename,
            subfolder,
            folder,
        } = &self.file;
        let path = if subfolder.is_empty() {
            filename.clone()
        } else {
            format!("{subfolder}/{filename}")
        };
        match folder {
            Folder::Input => path,
            Folder::Output | Folder::Temp => format!("{path} [{}]", folder.as_str()),
        }
    }
}

impl Client {
    /// Uploads a picture, or any file: the server does not look at the content. Use the returned name.
    pub async fn upload_image(&self, upload: Upload) -> Result<Uploaded, Error> {
        self.upload("image", upload.form()?).await
    }

    /// Uploads a mask, whose alpha channel the server puts into a copy of `original`.
    pub async fn upload_mask(&self, upload: Upload, original: &FileRef) -> Result<Uploaded, Error> {
        let original = json!({
            "filename": original.filename,
            "subfolder": original.subfolder,
            "type": original.folder.as_str(),
        });
        self.upload("mask", upload.form()?.text("original_ref", original.to_string()))
            .await
    }

    async fn upload(&self, what: &str, form: Form) -> Result<Uploaded, Error> {
        let request = self
            .request(Method::POST, &["upload", what])
            .timeout(self.options.upload_timeout);
        let answer: Answer = request
            .map(|builder| builder.multipart(form))
            .answer()
            .await?
            .success()?;
        let body: Value = answer.json()?;
        let stored = json!({
            "filename": body.get("name"), "subfolder": body.get("subfolder"), "type": body.get("type"),
        });
        let file =
            FileRef::parse(&stored).ok_or_else(|| answer.unparseable("it names no file".to_owned()))?;
        Ok(Uploaded { file })
    }

    /// Downloads a file, or a part of it. The content has not been read yet when this returns.
    pub async fn view(&self, file: &FileRef, range: Option<ByteRange>) -> Result<Download, Error> {
        let query = [
            ("filename", file.filename.as_str()),
            ("subfolder", file.subfolder.as_str()),
            ("type", file.folder.as_str()),
        ];
        let request = self.get(&["view"]).map(|builder| {
            let builder = builder.query(&query);
            match range {
                Some(range) => builder.header(RANGE, range.header()),
                None => builder,
            }
        });
        let (operation, mut response) = request.head().await?;
        let status = response.status();
        if !status.is_success() {
            // what it says is a courtesy: the status is the failure, also if the words do not come
            let said = tokio::time::timeout(self.options.request_timeout, response.chunk()).await;
            let said = said.ok().and_then(Result::ok).flatten().unwrap_or_default();
            return Err(Error::Status {
                operation,
                status: status.as_u16(),
                words: words(&said),
            });
        }
        let length = response.content_length();
        let limit = self.options.max_download;
        if length.is_some_and(|length| length > limit) {
            return Err(Error::TooLarge { operation, limit });
        }
        let content_type = response.headers().get(CONTENT_TYPE);
        Ok(Download {
            content_type: content_type.and_then(|value| Some(value.to_str().ok()?.to_owned())),
            length,
            partial: status == StatusCode::PARTIAL_CONTENT,
            operation,
            client: self.clone(),
            response,
        })
    }
}

impl ByteRange {
    fn header(self) -> String {
        match self.last {
            Some(last) => format!("bytes={}-{last}", self.first),
            None => format!("bytes={}-", self.first),
        }
    }
}

impl Download {
    /// The content, piece by piece. It ends with an error if a piece takes too long, if the connection
    /// breaks before the announced length, or if it grows beyond the limit.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        let Self {
            operation,
            client,
            response,
            ..
        } = self;
        let (after, limit) = (client.options.request_timeout, client.options.max_download);
        futures::stream::unfold(Some((response, 0)), move |state| {
            let operation = operation.clone();
            async move {
                let (mut response, seen) = state?;
                let piece = match tokio::time::timeout(after, response.chunk()).await {
                    Err(_) => return Some((Err(Error::Timeout { operation, after }), None)),
                    Ok(Err(source)) => return Some((Err(transport(operation, "", after, source)), None)),
                    Ok(Ok(None)) => return None,
                    Ok(Ok(Some(piece))) => piece,
                };
                let seen = seen + piece.len() as u64;
                if seen > limit {
                    return Some((Err(Error::TooLarge { operation, limit }), None));
                }
                Some((Ok(piece), Some((response, seen))))
            }
        })
    }

    /// The whole content in memory, for small files and tests.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        let mut whole = bytes::BytesMut::new();
        let mut pieces = std::pin::pin!(self.into_stream());
        while let Some(piece) = pieces.next().await {
            whole.extend_from_slice(&piece?);
        }
        Ok(whole.freeze())
    }
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download")
            .field("operation", &self.operation)
            .field("content_type", &self.content_type)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}
