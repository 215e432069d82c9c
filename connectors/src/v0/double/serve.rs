//! The HTTP side: who asks, what goes wrong, and which API answers.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::asked::{About, Asked, No};
use super::options::{Fault, Received};
use super::wire::{Cutter, Wires};
use super::world::World;
use super::{v1, v2};
use crate::v0::Version;

const SESSION: &str = "x-session-token";

/// Serves without end.
pub(super) async fn serve(world: Arc<World>, listener: TcpListener) {
    let app = Router::new().fallback(ask).with_state(world);
    let service = app.into_make_service_with_connect_info::<Cutter>();
    drop(axum::serve(Wires(listener), service).await);
}

async fn ask(
    Shared(world): Shared<Arc<World>>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if path == "/bill" {
        let bill: Vec<Value> = world.read(|state| state.bill.iter().map(super::Charge::to_json).collect());
        return axum::Json(json!({"bill": bill})).into_response();
    }
    let mut segments = path.trim_start_matches('/').split('/');
    let version = segments
        .next()
        .and_then(|version| version.parse::<Version>().ok());
    let Some(version) = version else {
        return (StatusCode::NOT_FOUND, "404 page not found").into_response();
    };
    let max_body = world.read(|state| state.options.max_body);
    let Ok(bytes) = to_bytes(body, max_body).await else {
        return No::new(413, "Payload too large").into_response(version);
    };
    let line = format!("{} {path}", parts.method);
    let parsed = serde_json::from_slice(&bytes).ok();
    let received = Received {
        line: line.clone(),
        body: parsed.clone().unwrap_or_default(),
        session: header(&parts.headers, SESSION),
    };
    let fault = world.edit(|state| {
        state.note(received);
        state.fault(&line)
    });
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let asked = Asked {
        method: parts.method,
        path: segments.map(decoded).collect(),
        query: url::form_urlencoded::parse(query).into_owned().collect(),
        body: parsed.clone().unwrap_or_default(),
    };
    let readable = parsed.is_some() || bytes.is_empty();
    let act = || answer(&world, version, &asked, &parts.headers, readable);
    match fault {
        None => act(),
        Some(fault) => go_wrong(fault, version, &world, &cutter, act).await,
    }
}

/// Segments as they were before they were put into a path.
fn decoded(segment: &str) -> String {
    let pair = format!("x={}", segment.replace('+', "%2B"));
    let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
    pairs
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn answer(world: &World, version: Version, asked: &Asked, headers: &HeaderMap, readable: bool) -> Response {
    world.edit(|state| {
        let key = format!("Bearer {}", state.options.key);
        let said = if header(headers, header::AUTHORIZATION.as_str()).as_ref() != Some(&key) {
            Err(No::new(401, "Invalid API key"))
        } else if state.forbidden {
            Err(No::new(403, "Your plan does not include the API"))
        } else if !readable {
            Err(No::invalid("Invalid JSON"))
        } else {
            match version {
                Version::V1 => v1::answer(state, asked),
                Version::V2 => v2::answer(state, asked),
            }
        };
        let mut response = match said {
            Ok(reply) => reply.into_response(),
            Err(no) => no.into_response(version),
        };
        if version == Version::V1 {
            state.session += 1;
            if let Ok(token) = format!("session-{}", state.session).parse() {
                response.headers_mut().insert(SESSION, token);
            }
        }
        response
    })
}

async fn go_wrong(
    fault: Fault,
    version: Version,
    world: &World,
    cutter: &Cutter,
    act: impl FnOnce() -> Response,
) -> Response {
    let page = |status: StatusCode| {
        let kind = [(header::CONTENT_TYPE, "text/html")];
        (status, kind, "<html><body>not what you asked for</body></html>").into_response()
    };
    match fault {
        Fault::Busy(after) => {
            let mut response = No::new(429, "Too many requests").into_response(version);
            if let Some(seconds) = after {
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            response
        }
        Fault::Refusal(status, words) => No::new(status, words).into_response(version),
        Fault::BadGateway => page(StatusCode::BAD_GATEWAY),
        Fault::GatewayTimeout => {
            unanswered(world, &act());
            page(StatusCode::GATEWAY_TIMEOUT)
        }
        Fault::Page => page(StatusCode::OK),
        Fault::Endless => {
            let zeros = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'0'; 4096])));
            Body::from_stream(zeros).into_response()
        }
        Fault::CutBefore => {
            cutter.cut();
            std::future::pending().await
        }
        Fault::CutAfter => {
            unanswered(world, &act());
            cutter.cut();
            std::future::pending().await
        }
        Fault::CutAnswer => {
            let response = act();
            unanswered(world, &response);
            halved(response)
        }
        Fault::Stall => std::future::pending().await,
        Fault::Unanswered => {
            unanswered(world, &act());
            std::future::pending().await
        }
        Fault::Slow(wait) => {
            tokio::time::sleep(wait).await;
            act()
        }
        Fault::Redirect(to) => (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, to)]).into_response(),
    }
}

/// Who asked is not told, so the bill says that it was not.
fn unanswered(world: &World, response: &Response) {
    if let Some(About(number)) = response.extensions().get::<About>() {
        world.edit(|state| {
            if let Some(charge) = state.bill.get_mut(number - 1) {
                charge.answered = false;
            }
        });
    }
}

/// The head and the first byte, and then a broken connection.
fn halved(answer: Response) -> Response {
    let (mut head, _) = answer.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    let broken = Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    let pieces = [Ok(Bytes::from_static(b"{")), broken];
    // the error must come after the head has left, or there would be no head
    let body = stream::iter(pieces).then(|piece| async {
        tokio::task::yield_now().await;
        piece
    });
    Response::from_parts(head, Body::from_stream(body))
}
