//! Whether the files that a request names are there: uploads, and results of earlier jobs.

use proto::{
    Status,
    failure::FailureCode,
    ids::{ArtifactId, AssetId, InputId},
    request::{self, Fault},
    v1::{Job, JobRequest},
};

use crate::{jobs::Jobs, problem::Problem};

/// How many inputs of a request are looked for.
const MAX_INPUTS: usize = 256;
/// How many results of a job are named in place of one that it does not have.
const MAX_TOLD: usize = 8;

impl Jobs {
    /// Looks whether the files that a request names are there. What does not answer now may do so when the
    /// job runs.
    ///
    /// # Errors
    /// A fault for each that is not.
    pub(crate) async fn find_inputs(&self, request: &JobRequest) -> Result<(), Problem> {
        let mut faults = Vec::new();
        for (pointer, input) in request::inputs(request).into_iter().take(MAX_INPUTS) {
            let missing = match input {
                InputId::Asset(asset) => self.missing_upload(&asset).await,
                InputId::Artifact(artifact) => self.missing_result(artifact).await,
            };
            faults.extend(missing.map(|message| Fault { pointer, message }));
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Problem::invalid(faults))
        }
    }

    async fn missing_upload(&self, asset: &AssetId) -> Option<String> {
        let found = self.store.get_small(&asset.description_key()).await;
        matches!(found, Ok(None))
            .then(|| format!("there is no upload {asset}; send the file with POST /api/assets"))
    }

    async fn missing_result(&self, artifact: ArtifactId) -> Option<String> {
        match self.get(artifact.job).await {
            Ok(job) => unusable(artifact, &job),
            Err(problem) if problem.code == FailureCode::JobUnknown => Some(format!(
                "there is no job {}; it may have been removed after its retention time",
                artifact.job
            )),
            Err(_) => None,
        }
    }
}

/// Why a result of a job cannot be used; `None` where it can.
fn unusable(artifact: ArtifactId, job: &Job) -> Option<String> {
    let id = artifact.to_string();
    if job.status() != Status::Succeeded {
        return Some(format!(
            "job {} is {}; only results of jobs that succeeded can be used",
            job.id,
            job.status().as_str_name()
        ));
    }
    if job.outputs.iter().any(|output| output.id == id) {
        return None;
    }
    let results: Vec<String> = job
        .outputs
        .iter()
        .take(MAX_TOLD)
        .map(|output| format!("{}{}", ArtifactId::SCHEME, output.id))
        .collect();
    Some(match results.as_slice() {
        [] => format!("job {} has no results", job.id),
        _ => format!("job {} has no result {id}, but {}", job.id, results.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use proto::{ids::JobId, v1::Artifact};

    use super::*;

    #[test]
    fn only_what_a_job_made_in_the_end_can_be_used() {
        let id = JobId::generate();
        let of = |attempt| ArtifactId {
            job: id,
            attempt,
            index: 0,
        };
        let made = Artifact {
            id: of(2).to_string(),
            ..Artifact::default()
        };
        let mut job = Job {
            id: id.to_string(),
            status: Status::Running.into(),
            outputs: vec![made],
            ..Job::default()
        };
        let told = unusable(of(2), &job).expect("unusable");
        assert!(told.contains("is running; only results"), "{told}");
        job.status = Status::Succeeded.into();
        assert_eq!(unusable(of(2), &job), None);
        let told = unusable(of(1), &job).expect("unusable");
        assert!(told.ends_with(&format!("but artifact:{}", of(2))), "{told}");
        job.outputs.clear();
        let told = unusable(of(2), &job).expect("unusable");
        assert!(told.ends_with("has no results"), "{told}");
    }
}
