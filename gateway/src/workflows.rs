//! Workflows: those that come with the program, and those that people keep. Knows neither HTTP nor gRPC.

use proto::{
    comfyui::workflow::{bind, built_in, check, is_name, wants_seed},
    failure::FailureCode,
    moment::timestamp,
    request::Fault,
    v1::{JobRequest, Workflow, job_request::Body},
};
use runtime::{bus::BusError, clock, workflows::Workflows as Store};

use crate::problem::Problem;

/// The most workflows that are kept.
const MAX_WORKFLOWS: usize = 1_000;

/// What a change of a workflow depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing: the newest write wins.
    None,
    /// There is none of this name.
    Absent,
    /// It has this revision.
    Revision(u64),
}

/// All workflows. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Workflows {
    store: Store,
}

impl Workflows {
    /// Over this store.
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// All of them without their graphs, those that come with the program first.
    ///
    /// # Errors
    /// From the broker.
    pub async fn list(&self) -> Result<Vec<Workflow>, Problem> {
        let stored = self.store.list().await?;
        let all = built_in().iter().cloned().chain(stored);
        Ok(all
            .map(|workflow| Workflow {
                graph: String::new(),
                ..workflow
            })
            .collect())
    }

    /// One of them.
    ///
    /// # Errors
    /// `workflow_unknown`, or from the broker.
    pub async fn get(&self, name: &str) -> Result<Workflow, Problem> {
        if let Some(found) = comes_with_us(name) {
            return Ok(found.clone());
        }
        let found = if is_name(name) {
            self.store.load(name).await?
        } else {
            None
        };
        found.ok_or_else(|| unknown(name))
    }

    /// Keeps a workflow, in place of the one of the same name.
    ///
    /// # Errors
    /// All its faults, `workflow_built_in`, `workflow_changed` where the precondition does not hold,
    /// `workflow_limit`, or from the broker.
    pub async fn put(&self, workflow: Workflow, only: Precondition) -> Result<Workflow, Problem> {
        changeable(&workflow.name)?;
        let faults = check(&workflow);
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        let current = self.store.load(&workflow.name).await?;
        let revision = current.as_ref().map_or(0, |current| current.revision);
        holds(only, revision, &workflow.name)?;
        if current.is_none() && self.store.names().await?.len() >= MAX_WORKFLOWS {
            let detail = format!("{MAX_WORKFLOWS} workflows are kept already");
            return Err(Problem::new(FailureCode::WorkflowLimit, detail));
        }
        let workflow = Workflow {
            updated_at: Some(timestamp(clock::now())),
            built_in: false,
            revision: 0,
            ..workflow
        };
        let replaces = (only != Precondition::None).then_some(revision);
        match self.store.store(&workflow, replaces).await {
            Ok(revision) => {
                tracing::info!(workflow = workflow.name, revision, "a workflow was stored");
                Ok(Workflow { revision, ..workflow })
            }
            Err(BusError::Conflict) => Err(changed(&workflow.name)),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a workflow; nothing of it stays.
    ///
    /// # Errors
    /// `workflow_unknown`, `workflow_built_in`, `workflow_changed`, or from the broker.
    pub async fn delete(&self, name: &str, only: Precondition) -> Result<(), Problem> {
        changeable(name)?;
        let current = self.get(name).await?;
        holds(only, current.revision, name)?;
        if self.store.remove(current.revision).await? {
            tracing::info!(workflow = name, "a workflow was removed");
            return Ok(());
        }
        // it was replaced or removed meanwhile
        match self.store.load(name).await? {
            Some(_) => Err(changed(name)),
            None => Ok(()),
        }
    }

    /// The request with the graph of the workflow that it names, and that workflow; any other request as it is. `seed` is for
    /// parameters that want one and are not given.
    ///
    /// # Errors
    /// `workflow_unknown`, all faults of the parameters, or from the broker.
    pub async fn resolve(
        &self,
        mut request: JobRequest,
        seed: u64,
    ) -> Result<(JobRequest, Option<Workflow>), Problem> {
        let comfyui = match &mut request.body {
            Some(Body::Comfyui(comfyui)) if !comfyui.workflow.is_empty() => comfyui,
            Some(Body::Comfyui(_) | Body::Sketch(_) | Body::Flux(_) | Body::V0(_)) | None => {
                return Ok((request, None));
            }
        };
        if !comfyui.graph.is_empty() {
            return Err(Problem::invalid(vec![Fault {
                pointer: "/comfyui/graph".to_owned(),
                message: "cannot be given together with `workflow`".to_owned(),
            }]));
        }
        let workflow = match self.get(&comfyui.workflow).await {
            Err(problem) if problem.code == FailureCode::WorkflowUnknown => {
                let fault = Fault {
                    pointer: "/comfyui/workflow".to_owned(),
                    message: problem.detail.clone(),
                };
                return Err(Problem {
                    faults: vec![fault],
                    ..problem
                });
            }
            found => found?,
        };
        if comfyui.seed.is_none() && wants_seed(&workflow, &comfyui.parameters) {
            comfyui.seed = Some(seed);
        }
        comfyui.graph = bind(&workflow, &comfyui.parameters, comfyui.seed).map_err(Problem::invalid)?;
        Ok((request, Some(workflow)))
    }
}

fn comes_with_us(name: &str) -> Option<&'static Workflow> {
    built_in().iter().find(|workflow| workflow.name == name)
}

fn changeable(name: &str) -> Result<(), Problem> {
    match comes_with_us(name) {
        None => Ok(()),
        Some(_) => Err(Problem::new(
            FailureCode::WorkflowBuiltIn,
            format!("{name} comes with the program"),
        )),
    }
}

fn holds(only: Precondition, revision: u64, name: &str) -> Result<(), Problem> {
    let holds = match only {
        Precondition::None => true,
        Precondition::Absent => revision == 0,
        Precondition::Revision(wanted) => revision == wanted && revision != 0,
    };
    if holds { Ok(()) } else { Err(changed(name)) }
}

fn changed(name: &str) -> Problem {
    Problem::new(
        FailureCode::WorkflowChanged,
        format!("the workflow {name} is not in the state that the call depends on"),
    )
}

fn unknown(name: &str) -> Problem {
    let name: String = name.chars().take(80).collect();
    Problem::new(
        FailureCode::WorkflowUnknown,
        format!("there is no workflow {name:?}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precondition_holds_or_does_not() {
        for (only, revision, expected) in [
            (Precondition::None, 0, true),
            (Precondition::None, 7, true),
            (Precondition::Absent, 0, true),
            (Precondition::Absent, 7, false),
            (Precondition::Revision(7), 7, true),
            (Precondition::Revision(7), 8, false),
            (Precondition::Revision(0), 0, false),
        ] {
            assert_eq!(
                holds(only, revision, "x").is_ok(),
                expected,
                "{only:?} of {revision}"
            );
        }
    }

    #[test]
    fn what_comes_with_the_program_stays() {
        let ours = &built_in()[0].name;
        let problem = changeable(ours).expect_err("it comes with the program");
        assert_eq!(problem.code, FailureCode::WorkflowBuiltIn);
        assert!(changeable("mine").is_ok());
    }
}
