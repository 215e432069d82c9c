//! The WebSocket side: who is registered hears. Closing a socket takes away the registration of its client
//! id, also when a newer socket has it by then; that is how the server is.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::routes::features;
use super::world::{Outgoing, Socket, World};

pub(super) async fn connect(
    State(world): State<Arc<World>>,
    Query(query): Query<HashMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let client_id = query.get("clientId").filter(|id| !id.is_empty()).cloned();
    let client_id = client_id.unwrap_or_else(|| Uuid::new_v4().simple().to_string());
    upgrade.on_upgrade(move |socket| async move { converse(&world, &client_id, socket).await })
}

async fn converse(world: &World, client_id: &str, mut socket: WebSocket) {
    let (send, mut outgoing) = mpsc::unbounded_channel();
    let (cuts, mutes) = world.edit(|state| {
        let registered = Socket {
            send,
            preview_metadata: false,
        };
        let status = json!({"exec_info": {"queue_remaining": state.queue_remaining()}});
        registered.write(text("status", &json!({"status": status, "sid": client_id})));
        let running = state
            .running
            .as_ref()
            .filter(|running| running.item.client_id() == Some(client_id));
        if let Some(node) = running.and_then(|running| running.node.as_ref()) {
            // as on the server: neither the prompt nor the display node
            registered.write(text("executing", &json!({ "node": node })));
        }
        state.sockets.insert(client_id.to_owned(), registered);
        (state.socket_cuts, state.socket_mutes)
    });
    let mut first = true;
    loop {
        tokio::select! {
            biased;
            muted = world.until(|state| {
                (state.socket_cuts != cuts || state.socket_mutes != mutes).then_some(state.socket_cuts == cuts)
            }) => {
                if muted {
                    world.until(|state| (state.socket_cuts != cuts).then_some(())).await;
                }
                break;
            }
            message = outgoing.recv() => {
                // without a sender somebody else has the registration: this socket stays open and silent
                let Some(message) = message else { silent(world, cuts, &mut socket).await; break };
                let message = match message {
                    Outgoing::Text(text) => Message::text(text),
                    Outgoing::Binary(bytes) => Message::binary(bytes),
                };
                if socket.send(message).await.is_err() { break; }
            }
            message = socket.recv() => match message {
                None | Some(Err(_) | Ok(Message::Close(_))) => break,
                Some(Ok(Message::Text(said))) => heed(world, client_id, said.as_str(), &mut first),
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {}
            },
        }
    }
    world.edit(|state| {
        // a cut has taken the registration away already, and somebody may have a new one by now
        if state.socket_cuts == cuts {
            state.sockets.remove(client_id);
        }
    });
}

/// Answers pings, which `recv` does by itself, and says nothing.
async fn silent(world: &World, cuts: u64, socket: &mut WebSocket) {
    let listen = async { while let Some(Ok(_)) = socket.recv().await {} };
    tokio::select! {
        () = world.until(|state| (state.socket_cuts != cuts).then_some(())) => {}
        () = listen => {}
    }
}

/// Feature flags count only as the first valid message.
fn heed(world: &World, client_id: &str, said: &str, first: &mut bool) {
    let Ok(said) = serde_json::from_str::<Value>(said) else {
        return;
    };
    if !std::mem::replace(first, false) || said.get("type").and_then(Value::as_str) != Some("feature_flags") {
        return;
    }
    let wanted = said
        .pointer("/data/supports_preview_metadata")
        .and_then(Value::as_bool)
        == Some(true);
    world.edit(|state| {
        if let Some(socket) = state.sockets.get_mut(client_id) {
            socket.preview_metadata = wanted;
            socket.write(text("feature_flags", &features()));
        }
    });
}

fn text(kind: &str, data: &Value) -> Outgoing {
    Outgoing::Text(json!({"type": kind, "data": data}).to_string())
}
