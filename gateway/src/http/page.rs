//! The built-in page: files that are compiled in and load nothing from elsewhere.

use axum::{
    Router,
    http::{HeaderName, header},
    response::{IntoResponse, Response},
    routing::get,
};

const HTML: &str = include_str!("../../page/index.html");
const STYLE: &str = include_str!("../../page/page.css");
/// By address, in the order in which the page loads them.
const SCRIPTS: &[(&str, &str)] = &[
    ("/calls.js", include_str!("../../page/calls.js")),
    ("/jobs.js", include_str!("../../page/jobs.js")),
    ("/form.js", include_str!("../../page/form.js")),
    ("/rows.js", include_str!("../../page/rows.js")),
    ("/pictures.js", include_str!("../../page/pictures.js")),
    ("/flux.js", include_str!("../../page/flux.js")),
    ("/sites.js", include_str!("../../page/sites.js")),
    ("/paying.js", include_str!("../../page/paying.js")),
    ("/money.js", include_str!("../../page/money.js")),
    ("/asking.js", include_str!("../../page/asking.js")),
    ("/checks.js", include_str!("../../page/checks.js")),
    ("/workers.js", include_str!("../../page/workers.js")),
    ("/live.js", include_str!("../../page/live.js")),
];

/// Only the page's own files run or are loaded, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; media-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The page at `/` and what it loads.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let router = Router::new()
        .route("/", get(|| async { file("text/html; charset=utf-8", HTML) }))
        .route(
            "/page.css",
            get(|| async { file("text/css; charset=utf-8", STYLE) }),
        );
    SCRIPTS.iter().fold(router, |router, &(address, script)| {
        let answer = move || async move { file("text/javascript; charset=utf-8", script) };
        router.route(address, get(answer))
    })
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
    use std::collections::BTreeSet;

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
            for (address, script) in SCRIPTS {
                assert!(!script.contains(unsafe_way), "{address} uses {unsafe_way}");
            }
        }
    }

    /// A script that looks for what is not there stops where it does.
    #[test]
    fn what_the_scripts_look_for_is_in_the_page() {
        for (_, script) in SCRIPTS {
            for rest in script.split("find(\"").skip(1) {
                let id = rest.split('"').next().expect("a name");
                assert!(
                    HTML.contains(&format!("id=\"{id}\"")),
                    "there is no {id} in the page"
                );
            }
        }
    }

    /// Scripts that are not loaded, or addresses at which there is none, would only show in a browser.
    #[test]
    fn the_page_loads_each_script_in_order() {
        let loaded: Vec<_> = HTML
            .split("<script src=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let served: Vec<_> = SCRIPTS.iter().map(|(address, _)| *address).collect();
        assert_eq!(loaded, served);
    }

    /// Who does not see the page hears the label.
    #[test]
    fn each_field_has_a_label_and_each_label_a_field() {
        let names = |mark: &str| -> BTreeSet<&str> {
            let found = HTML.split(mark).skip(1);
            found.filter_map(|rest| rest.split('"').next()).collect()
        };
        let fields: BTreeSet<_> = ["<input id=\"", "<select id=\"", "<textarea id=\""]
            .into_iter()
            .flat_map(names)
            .collect();
        assert_eq!(fields, names("<label for=\""));
        let all = ["<input", "<select", "<textarea"].map(|tag| HTML.matches(tag).count());
        assert_eq!(
            fields.len(),
            all.iter().sum::<usize>(),
            "a field has no id, or two have the same"
        );
    }
}
