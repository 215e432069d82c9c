//! Which requests are passed on to a worker's ComfyUI: those that only read, by a closed list.

use url::Url;

/// The longest query that is passed on, in bytes.
const MAX_QUERY_BYTES: usize = 2_000;
/// The longest part of a path.
const MAX_PART_BYTES: usize = 400;

/// What may be read, and whether a name may follow.
const READABLE: &[(&[&str], bool)] = &[
    (&["system_stats"], false),
    (&["features"], false),
    (&["queue"], false),
    (&["prompt"], false),
    (&["history"], true),
    (&["object_info"], true),
    (&["models"], true),
    (&["embeddings"], false),
    (&["extensions"], false),
    (&["view"], false),
    (&["jobs"], true),
];

/// The path and query that ComfyUI is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Absolute, encoded.
    pub path: String,
    /// Without `?`.
    pub query: String,
}

/// What to ask ComfyUI for, given the decoded path without a slash in front; `None` where that is not passed on.
pub fn target(path: &str, query: &str) -> Option<Target> {
    let parts: Vec<&str> = path.split('/').collect();
    let plain = |part: &&str| {
        !part.is_empty()
            && part.len() <= MAX_PART_BYTES
            && !matches!(*part, "." | "..")
            && !part
                .chars()
                .any(|c| c.is_control() || matches!(c, '\\' | '%' | '?' | '#'))
    };
    if query.len() > MAX_QUERY_BYTES || !parts.iter().all(plain) {
        return None;
    }
    let (below_api, named) = match parts.as_slice() {
        ["api", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let allowed = READABLE.iter().any(|(readable, with_name)| {
        // ComfyUI has its list of jobs below `api` only
        let here = below_api || *readable != ["jobs"];
        let exact = named == *readable;
        let followed = *with_name && named.len() == readable.len() + 1 && named.starts_with(readable);
        here && (exact || followed)
    });
    let mut url = Url::parse("http://comfyui/").ok().filter(|_| allowed)?;
    url.path_segments_mut().ok()?.clear().extend(&parts);
    Some(Target {
        path: url.path().to_owned(),
        query: query.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str) -> Option<String> {
        target(path, "").map(|target| target.path)
    }

    #[test]
    fn what_only_reads_is_passed_on() {
        for plain in [
            "system_stats",
            "features",
            "queue",
            "prompt",
            "history",
            "history/0b1e",
            "object_info",
            "object_info/KSampler",
            "models",
            "models/loras",
            "embeddings",
            "extensions",
            "view",
            "api/jobs",
            "api/jobs/0b1e",
            "api/system_stats",
            "api/view",
        ] {
            assert_eq!(path(plain), Some(format!("/{plain}")));
        }
        let asked = target("view", "filename=a.png&type=output").expect("allowed");
        assert_eq!(asked.query, "filename=a.png&type=output");
        assert_eq!(
            path("object_info/Load Image"),
            Some("/object_info/Load%20Image".into())
        );
    }

    #[test]
    fn everything_else_is_not() {
        for forbidden in [
            "",
            "/",
            "interrupt",
            "free",
            "upload/image",
            "userdata",
            "ws",
            "jobs",
            "internal/logs",
            "api",
            "api/api/view",
            "view/x",
            "queue/1",
            "history/a/b",
            "models/../userdata",
            "models/..",
            "models//x",
            "history/%2e%2e",
            "models/a\\b",
            "system_stats/",
            "VIEW",
            "manager/reboot",
        ] {
            assert_eq!(path(forbidden), None, "{forbidden}");
        }
        assert_eq!(target("view", &"x".repeat(3_000)), None);
    }
}
