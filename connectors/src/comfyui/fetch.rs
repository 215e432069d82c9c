//! Any answer of the server, passed on as it is.

use bytes::Bytes;
use futures::{Stream, stream::unfold};
use reqwest::{Response, header::CONTENT_TYPE};

use super::client::{Client, transport};
use super::error::Error;

/// An answer of which only the head has come, whatever its status.
#[derive(Debug)]
pub struct Fetched {
    /// The HTTP status.
    pub status: u16,
    /// Its media type, as the server says it.
    pub content_type: String,
    /// How many bytes are coming, if the server says so.
    pub length: Option<u64>,
    operation: String,
    client: Client,
    response: Response,
}

impl Client {
    /// Sends a GET for a path such as `/view`, with a query as it stands behind the `?`.
    ///
    /// # Errors
    /// If no answer came. A refusal of the server is an answer.
    pub async fn fetch(&self, path: &str, query: &str) -> Result<Fetched, Error> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let request = self.get(&segments).map(|builder| {
            let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect();
            builder.query(&pairs)
        });
        let (operation, response) = request.head().await?;
        let content_type = response.headers().get(CONTENT_TYPE);
        Ok(Fetched {
            status: response.status().as_u16(),
            content_type: content_type
                .and_then(|value| value.to_str().ok())
                .unwrap_or("application/octet-stream")
                .to_owned(),
            length: response.content_length(),
            operation,
            client: self.clone(),
            response,
        })
    }
}

impl Fetched {
    /// The body, piece by piece; it ends with its first failure.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        unfold(Some(self), |fetched| async move {
            let mut fetched = fetched?;
            let limit = fetched.client.options.request_timeout;
            let operation = fetched.operation.clone();
            match tokio::time::timeout(limit, fetched.response.chunk()).await {
                Ok(Ok(Some(chunk))) => Some((Ok(chunk), Some(fetched))),
                Ok(Ok(None)) => None,
                Ok(Err(source)) => {
                    let origin = fetched.client.origin();
                    Some((Err(transport(operation, &origin, limit, source)), None))
                }
                Err(_) => Some((
                    Err(Error::Timeout {
                        operation,
                        after: limit,
                    }),
                    None,
                )),
            }
        })
    }
}
