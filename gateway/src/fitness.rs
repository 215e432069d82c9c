//! Whether somebody in the fleet could run a graph, and what is wrong with it where nobody can. Pure.

use std::{collections::HashSet, sync::Arc, time::Duration};

use proto::{
    comfyui::{
        Plan,
        catalog::{self, Rejected, RejectedKind},
    },
    money::Cost,
    request::Fault,
    v1::{BackendOffer, Catalog},
};

/// A worker that was heard of within this time counts: it may be on its way back.
pub const MEMORY: Duration = Duration::from_hours(1);

/// A worker with ComfyUI.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its id.
    pub worker: String,
    /// What it announces.
    pub offer: BackendOffer,
    /// What its ComfyUI can run, where that is known.
    pub catalog: Option<Arc<Catalog>>,
}

/// What the fleet says to a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Ids of those who could run it, as far as is known.
    pub takers: Vec<String>,
    /// What the nearest of those who cannot would say; empty where somebody can, or where nothing is known.
    pub faults: Vec<Fault>,
}

/// Asks every candidate. A damaged file counts as there where `allow_fallback` and the worker has another.
pub fn judge(plan: &Plan, allow_fallback: bool, candidates: &[Candidate]) -> Judgement {
    let mut takers = Vec::new();
    let mut nearest: Option<Vec<Fault>> = None;
    let mut anybody_knows = false;
    for candidate in candidates {
        let Some(catalog) = &candidate.catalog else {
            continue;
        };
        anybody_knows = true;
        let mut rejected = catalog::check(&plan.graph, catalog);
        rejected.retain(|one| !is_fresh(plan, one, &candidate.offer));
        let mut faults = catalog::request_faults(plan, &rejected);
        faults.extend(damages(plan, allow_fallback, candidate));
        if faults.is_empty() {
            takers.push(candidate.worker.clone());
        } else if nearest
            .as_ref()
            .is_none_or(|nearest| faults.len() < nearest.len())
        {
            for fault in &mut faults {
                fault.message = format!("{} (worker {})", fault.message, candidate.worker);
            }
            nearest = Some(faults);
        }
    }
    let faults = match nearest {
        Some(faults) if anybody_knows && takers.is_empty() => faults,
        Some(_) | None => Vec::new(),
    };
    Judgement { takers, faults }
}

/// Whether running it costs money, as far as the candidates' catalogs tell: some nodes call services that do.
pub fn cost(plan: &Plan, candidates: &[Candidate]) -> Cost {
    let nodes = plan.graph.as_object().into_iter().flatten();
    let used: HashSet<&str> = nodes
        .filter_map(|(_, node)| node.get("class_type")?.as_str())
        .collect();
    let catalogs = candidates
        .iter()
        .filter_map(|candidate| candidate.catalog.as_ref());
    let paid = catalogs
        .flat_map(|catalog| &catalog.classes)
        .filter(|class| class.api_node && used.contains(class.name.as_str()));
    paid.map(|class| class.name.as_str())
        .min()
        .map_or(Cost::Free, |class| Cost::Unpriced {
            model: format!("comfyui:{class}"),
        })
}

/// A file that is announced but came after the catalog was made.
fn is_fresh(plan: &Plan, rejected: &Rejected, offer: &BackendOffer) -> bool {
    let value = rejected.input.as_deref().and_then(|input| {
        let inputs = plan.graph.get(&rejected.node)?.get("inputs")?;
        inputs.get(input)?.as_str()
    });
    rejected.kind == RejectedKind::NotInList
        && value.is_some_and(|value| {
            let files = offer.models.iter().filter(|model| model.problem.is_empty());
            files
                .filter(|model| model.kind != "node")
                .any(|model| model.name == value)
        })
}

/// The files that are there and cannot be used.
fn damages(plan: &Plan, allow_fallback: bool, candidate: &Candidate) -> Vec<Fault> {
    let found = plan.needs.iter().filter_map(|need| {
        let damaged = candidate.offer.models.iter().find(|model| {
            model.kind == need.kind
                && model.name == need.name
                && !model.problem.is_empty()
                && (!allow_fallback || model.fallback.is_empty())
        })?;
        let instead = if damaged.fallback.is_empty() {
            String::new()
        } else {
            format!("; with `allow_fallback` it would be {}", damaged.fallback)
        };
        Some(Fault {
            pointer: place_of(plan, &need.name),
            message: format!("{} is damaged: {}{instead}", need.name, damaged.problem),
        })
    });
    found.collect()
}

/// Where a file is named.
fn place_of(plan: &Plan, file: &str) -> String {
    let nodes = plan.graph.as_object().into_iter().flatten();
    let mut inputs = nodes.flat_map(|(id, node)| {
        let inputs = node.get("inputs").and_then(serde_json::Value::as_object);
        inputs
            .into_iter()
            .flatten()
            .map(move |(name, value)| (id, name, value))
    });
    match inputs.find(|(_, _, value)| value.as_str() == Some(file)) {
        Some((node, input, _)) => plan.pointer(node, Some(input)),
        None => "/comfyui".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{
        comfyui::plan,
        v1::{ComfyUiRequest, Model, NodeClass, NodeInput},
    };

    const GRAPH: &str = r#"{"1":{"class_type":"UpscaleModelLoader","inputs":{"model_name":"x4.pth"}},
        "2":{"class_type":"SaveImage","inputs":{"images":["1",0]}}}"#;

    fn asked() -> Plan {
        let request = ComfyUiRequest {
            graph: GRAPH.into(),
            ..ComfyUiRequest::default()
        };
        plan(&request).expect("a graph")
    }

    /// A worker whose ComfyUI lists these files, and which announces these models.
    fn candidate(worker: &str, listed: &[&str], models: Vec<Model>) -> Candidate {
        let input = |name: &str, of_type: &str, options: &[&str]| NodeInput {
            name: name.into(),
            r#type: of_type.into(),
            required: true,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            ..NodeInput::default()
        };
        let loader = NodeClass {
            name: "UpscaleModelLoader".into(),
            inputs: vec![input("model_name", "COMBO", listed)],
            outputs: vec!["IMAGE".into()],
            ..NodeClass::default()
        };
        let saver = NodeClass {
            name: "SaveImage".into(),
            inputs: vec![input("images", "IMAGE", &[])],
            output_node: true,
            ..NodeClass::default()
        };
        let catalog = Catalog {
            classes: vec![saver, loader],
        };
        Candidate {
            worker: worker.into(),
            offer: BackendOffer {
                models,
                ..BackendOffer::default()
            },
            catalog: Some(Arc::new(catalog)),
        }
    }

    fn file(problem: &str, fallback: &str) -> Model {
        Model {
            kind: "upscaler".into(),
            name: "x4.pth".into(),
            problem: problem.into(),
            fallback: fallback.into(),
            ..Model::default()
        }
    }

    #[test]
    fn one_who_can_is_enough_and_nobody_known_is_no_refusal() {
        let able = candidate("able", &["x4.pth"], vec![]);
        let unable = candidate("unable", &["x2.pth"], vec![]);
        let unknown = Candidate {
            catalog: None,
            ..unable.clone()
        };
        let judged = judge(&asked(), false, &[unable.clone(), able]);
        assert_eq!((judged.takers, judged.faults), (vec!["able".to_owned()], vec![]));
        for nobody in [&[][..], &[unknown]] {
            assert_eq!(judge(&asked(), false, nobody).faults, []);
        }
        let judged = judge(&asked(), false, &[unable]);
        assert_eq!(judged.faults.len(), 1, "{judged:?}");
        assert_eq!(judged.faults[0].pointer, "/comfyui/graph/1/inputs/model_name");
        assert!(judged.faults[0].message.contains("x2.pth"), "{judged:?}");
    }

    #[test]
    fn a_graph_costs_money_if_any_catalog_says_so_of_a_node() {
        let free = candidate("free", &["x4.pth"], vec![]);
        let mut paid = free.clone();
        let mut catalog = Catalog::clone(paid.catalog.as_ref().expect("a catalog"));
        for class in &mut catalog.classes {
            class.api_node = true;
        }
        let other = NodeClass {
            name: "A".into(),
            api_node: true,
            ..NodeClass::default()
        };
        catalog.classes.push(other);
        paid.catalog = Some(Arc::new(catalog));
        assert_eq!(cost(&asked(), &[]), Cost::Free);
        assert_eq!(cost(&asked(), std::slice::from_ref(&free)), Cost::Free);
        let model = "comfyui:SaveImage".to_owned();
        assert_eq!(cost(&asked(), &[free, paid]), Cost::Unpriced { model });
    }

    #[test]
    fn a_fresh_file_counts_and_a_damaged_one_does_not() {
        let fresh = candidate("fresh", &["x2.pth"], vec![file("", "")]);
        assert_eq!(judge(&asked(), false, &[fresh]).takers, ["fresh"]);
        let damaged = candidate("damaged", &["x4.pth"], vec![file("it is cut off", "x2.pth")]);
        let judged = judge(&asked(), false, std::slice::from_ref(&damaged));
        assert!(judged.faults[0].message.contains("allow_fallback"), "{judged:?}");
        assert_eq!(judge(&asked(), true, &[damaged]).takers, ["damaged"]);
    }
}
