//! Refuses what other sites' pages make a browser send: without keys, a browser on this machine is allowed
//! everything, and so would be every page that it shows.

use axum::{
    extract::Request,
    http::{HeaderMap, Method, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use proto::failure::FailureCode;

use crate::{http::extract, problem::Problem};

/// Passes on what no foreign page sent.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    if is_foreign(request.method(), request.headers()) {
        let origin = request
            .headers()
            .get(header::ORIGIN)
            .and_then(|origin| origin.to_str().ok());
        tracing::warn!(
            origin,
            path = request.uri().path(),
            "refused a request of another site's page"
        );
        extract::discard(request.into_body()).await;
        let problem = Problem::new(
            FailureCode::RequestCrossSite,
            "the request comes from a page of another site",
        );
        return problem.into_response();
    }
    next.run(request).await
}

/// A browser tells where a request comes from, and pages cannot make it lie. Programs tell nothing. A link
/// from another page may be followed: reading our page harms nobody.
fn is_foreign(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let navigation = *method == Method::GET && text("sec-fetch-mode") == Some("navigate");
    if let Some(site) = text("sec-fetch-site") {
        return !(navigation || matches!(site, "same-origin" | "none"));
    }
    match (text("origin"), text("host")) {
        (None, _) => false,
        (Some(origin), host) => {
            origin
                .parse::<Uri>()
                .ok()
                .and_then(|origin| origin.authority().map(ToString::to_string))
                .as_deref()
                != host
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(method: &Method, headers: &[(&'static str, &'static str)]) -> bool {
        let pairs = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        is_foreign(method, &pairs.collect())
    }

    #[test]
    fn programs_and_our_own_page_pass() {
        assert!(!foreign(&Method::POST, &[("host", "127.0.0.1:8080")]));
        assert!(!foreign(
            &Method::POST,
            &[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")]
        ));
        assert!(!foreign(
            &Method::POST,
            &[("sec-fetch-site", "same-origin"), ("origin", "https://proxy")]
        ));
        assert!(!foreign(
            &Method::GET,
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]
        ));
    }

    #[test]
    fn pages_of_other_sites_do_not() {
        assert!(foreign(
            &Method::POST,
            &[("host", "127.0.0.1:8080"), ("origin", "http://evil.example")]
        ));
        assert!(foreign(
            &Method::POST,
            &[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:9000")]
        ));
        assert!(foreign(
            &Method::POST,
            &[("host", "127.0.0.1:8080"), ("origin", "null")]
        ));
        assert!(foreign(
            &Method::GET,
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")]
        ));
        assert!(foreign(
            &Method::POST,
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]
        ));
    }
}
