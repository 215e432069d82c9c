//! What ComfyUI says by WebSocket, over any number of connections. A hint: it replays nothing and can fall
//! silent for ever, so that nobody may wait for it.

use std::{pin::Pin, time::Duration};

use connectors::comfyui::{Client, Event, Events};
use futures::{Stream, StreamExt as _, stream::unfold};
use runtime::telemetry::chain;
use tokio::time::{sleep, timeout};

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// After this long without a word the connection is made anew: a server that has met two connections of one
/// client may have forgotten the one that is left, and keeps it open.
const QUIET: Duration = Duration::from_mins(1);
/// Longest wait for the first connection, which should be there before the prompt is posted.
const FIRST_CONNECT: Duration = Duration::from_secs(5);

/// One client's ear.
#[derive(Debug)]
pub(super) struct Ear {
    client: Client,
    client_id: String,
    events: Option<Events>,
    wait: Duration,
}

impl Ear {
    /// Connects, if that works at once.
    pub(super) async fn open(client: &Client, client_id: String) -> Self {
        let events = match timeout(FIRST_CONNECT, client.connect_events(&client_id)).await {
            Ok(Ok(events)) => Some(events),
            Ok(Err(error)) => {
                tracing::debug!(error = chain(&error), "no websocket to comfyui yet");
                None
            }
            Err(_) => None,
        };
        Self {
            client: client.clone(),
            client_id,
            events,
            wait: FIRST_WAIT,
        }
    }

    /// Everything that is heard; does not end.
    pub(super) fn listen(self) -> Pin<Box<impl Stream<Item = Event> + Send>> {
        Box::pin(unfold(self, Self::next))
    }

    async fn next(mut self) -> Option<(Event, Self)> {
        loop {
            let Some(events) = &mut self.events else {
                self.reconnect().await;
                continue;
            };
            match timeout(QUIET, events.next()).await {
                Ok(Some(Ok(event))) => {
                    self.wait = FIRST_WAIT;
                    return Some((event, self));
                }
                Ok(Some(Err(error))) => {
                    tracing::debug!(error = chain(&error), "the websocket to comfyui broke");
                }
                Ok(None) | Err(_) => {}
            }
            // the old connection has to be gone before the new one comes, or the server mixes them up
            self.events = None;
        }
    }

    async fn reconnect(&mut self) {
        sleep(self.wait).await;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        match self.client.connect_events(&self.client_id).await {
            Ok(events) => self.events = Some(events),
            Err(error) => tracing::debug!(error = chain(&error), "no websocket to comfyui"),
        }
    }
}
