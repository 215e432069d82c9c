//! What is asked of workers and of workflows over gRPC.

use futures::Stream;
use proto::{
    request::Fault,
    v1::{CallHostRequest, HostReply, Workflow, host_call::Call},
};

use crate::{front::Front, passing, problem::Problem, workflows::Precondition};
use proto::failure::FailureCode;

/// The replies of a worker. What ComfyUI is asked for is held to the same list as over HTTP.
pub(super) fn call(
    front: &Front,
    request: CallHostRequest,
) -> Result<impl Stream<Item = HostReply> + Send + use<>, Problem> {
    let Some(mut call) = request.call.and_then(|call| call.call) else {
        return Err(Problem::invalid(vec![Fault {
            pointer: "/call".to_owned(),
            message: "say what is asked of the worker".to_owned(),
        }]));
    };
    if let Call::Fetch(fetch) = &mut call {
        let path = fetch.path.trim_start_matches('/');
        let target = passing::target(path, &fetch.query).ok_or_else(|| {
            let path: String = path.chars().take(80).collect();
            Problem::new(
                FailureCode::ComfyuiPathRefused,
                format!("`{path}` of ComfyUI is not passed on"),
            )
        })?;
        (fetch.path, fetch.query) = (target.path, target.query);
    }
    front.hosts.call(&request.worker, call)
}

/// A workflow that names the revision it was read with replaces that one only.
pub(super) fn precondition(workflow: &Workflow) -> Precondition {
    match workflow.revision {
        0 => Precondition::None,
        revision => Precondition::Revision(revision),
    }
}
