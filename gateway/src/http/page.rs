//! The built-in page: three files that are compiled in and load nothing from elsewhere.

use axum::{
    http::{HeaderName, header},
    response::{IntoResponse, Response},
};

const HTML: &str = include_str!("../../page/index.html");
const SCRIPT: &str = include_str!("../../page/page.js");
const STYLE: &str = include_str!("../../page/page.css");

/// Only the page's own files run or are loaded, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; media-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// `GET /`
pub(crate) async fn html() -> Response {
    file("text/html; charset=utf-8", HTML)
}

/// `GET /page.js`
pub(crate) async fn script() -> Response {
    file("text/javascript; charset=utf-8", SCRIPT)
}

/// `GET /page.css`
pub(crate) async fn style() -> Response {
    file("text/css; charset=utf-8", STYLE)
}

fn file(media_type: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, &str); 4] = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the policy forbids would silently not work.
    #[test]
    fn the_page_keeps_to_its_policy() {
        for forbidden in [
            "http://",
            "https://",
            "//cdn",
            " style=",
            " onclick=",
            " onsubmit=",
            "<style",
        ] {
            assert!(!HTML.contains(forbidden), "the page contains {forbidden}");
        }
        assert!(!STYLE.contains("@import") && !STYLE.contains("url("));
        for unsafe_way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!SCRIPT.contains(unsafe_way), "the script uses {unsafe_way}");
        }
    }
}
