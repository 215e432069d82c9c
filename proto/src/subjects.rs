//! Every subject, spelled once.
//!
//! A thing to do is keyed by who does it: `orch.q.<backend>.<priority>.<lane>.<job>`.

use crate::{
    Backend, Priority,
    ids::{Incarnation, JobId, WorkerId},
};

/// All job records.
pub const JOBS: &str = "orch.job.*";
/// All requests that are too large for the record.
pub const SPECS: &str = "orch.spec.*";
/// All queue tokens.
pub const TOKENS: &str = "orch.q.*.*.*.*";
/// All tokens that appear later.
pub const SCHEDULED: &str = "orch.at.*";
/// Progress of all jobs.
pub const PROGRESS: &str = "orch.progress.*";
/// Preview pictures of all jobs.
pub const PREVIEWS: &str = "orch.preview.*";
/// Announcements of all workers.
pub const WORKERS: &str = "orch.worker.*";
/// All stored workflows.
pub const WORKFLOWS: &str = "orch.workflow.*";
/// All lines of the ledger.
pub const LEDGER: &str = "orch.ledger.*";
/// Asks any gateway for permission to upload an artifact.
pub const GRANT_UPLOAD: &str = "orch.rpc.grant-upload";
/// Asks any gateway where an asset can be fetched.
pub const GRANT_ASSET: &str = "orch.rpc.grant-asset";
/// The lane for jobs that name no model.
pub const ANY_LANE: &str = "_";

/// The record of one job.
pub fn job(id: JobId) -> String {
    format!("orch.job.{id}")
}

/// The whole request of one job.
pub fn spec(id: JobId) -> String {
    format!("orch.spec.{id}")
}

/// The queue token of one job.
pub fn token(backend: Backend, priority: Priority, lane: &str, id: JobId) -> String {
    format!(
        "orch.q.{}.{}.{lane}.{id}",
        backend.as_str_name(),
        priority.as_str_name()
    )
}

/// All tokens of one lane, the filter of its consumer.
pub fn lane(backend: Backend, priority: Priority, lane: &str) -> String {
    format!(
        "orch.q.{}.{}.{lane}.*",
        backend.as_str_name(),
        priority.as_str_name()
    )
}

/// The durable consumer of one lane. No period, under 32 characters beside the lane's key.
pub fn lane_consumer(backend: Backend, priority: Priority, lane: &str) -> String {
    format!("q-{}-{}-{lane}", backend.as_str_name(), priority.as_str_name())
}

/// The schedule that makes one job's token appear later.
pub fn scheduled(id: JobId) -> String {
    format!("orch.at.{id}")
}

/// Progress of one job.
pub fn progress(id: JobId) -> String {
    format!("orch.progress.{id}")
}

/// Preview pictures of one job.
pub fn preview(id: JobId) -> String {
    format!("orch.preview.{id}")
}

/// Announcements of one worker.
pub fn worker(id: &WorkerId) -> String {
    format!("orch.worker.{id}")
}

/// Asks whether a worker of this name is there.
pub fn name(id: &WorkerId) -> String {
    format!("orch.name.{id}")
}

/// Asks one life of a worker whether it works on a job.
pub fn ownership(incarnation: Incarnation) -> String {
    format!("orch.own.{incarnation}")
}

/// Asks a worker about itself, its ComfyUI and its files.
pub fn host(id: &WorkerId) -> String {
    format!("orch.host.{id}")
}

/// The ledger's lines about one job.
pub fn ledger(job: &str) -> String {
    format!("orch.ledger.{job}")
}

/// One stored workflow. Its name has been checked.
pub fn workflow(name: &str) -> String {
    format!("orch.workflow.{name}")
}

/// Asks one life of a worker to look at a job's record at once.
pub fn control(incarnation: Incarnation) -> String {
    format!("orch.ctl.{incarnation}")
}

/// The job that a record, token, schedule, progress or preview subject names in its last place.
pub fn job_of(subject: &str) -> Option<JobId> {
    subject.rsplit_once('.')?.1.parse().ok()
}

/// The lane key of a model: readable, valid in a subject, and different for different names.
///
/// At most 40 characters: the name's beginning and 8 hex digits of its BLAKE3.
pub fn lane_key(model: &str) -> String {
    if model.is_empty() {
        return ANY_LANE.to_owned();
    }
    let readable: String = model
        .chars()
        .take(31)
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let hash = blake3::hash(model.as_bytes());
    format!("{readable}-{}", &hash.to_hex()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_lies_in_its_lane() {
        let id = JobId::generate();
        let token = token(
            Backend::Comfyui,
            Priority::High,
            &lane_key("SD XL/base.safetensors"),
            id,
        );
        let lane = lane(
            Backend::Comfyui,
            Priority::High,
            &lane_key("SD XL/base.safetensors"),
        );
        assert!(token.starts_with(lane.trim_end_matches('*')));
        assert_eq!(job_of(&token), Some(id));
        assert_eq!(token.split('.').count(), TOKENS.split('.').count());
    }

    proptest! {
        #[test]
        fn a_lane_key_is_one_subject_token(model in ".{0,200}") {
            let key = lane_key(&model);
            prop_assert!(!key.is_empty() && key.len() <= 40);
            prop_assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        }

        #[test]
        fn any_subject_is_read_without_panic(subject in ".{0,80}") {
            prop_assert!(job_of(&subject).is_none());
        }
    }
}
