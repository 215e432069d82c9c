//! The files that a request names, uploads and results of earlier jobs, and where it does.

use serde_json::Value;

use crate::{
    comfyui::escaped,
    ids::InputId,
    v1::{ComfyUiRequest, JobRequest, job_request::Body},
};

/// Every file that a request names, with a pointer to the place; one that is named twice stands there
/// twice. What is no reference at all is left out.
pub fn inputs(request: &JobRequest) -> Vec<(String, InputId)> {
    let mut found = Vec::new();
    let mut add = |pointer: String, text: &str| {
        if let Some(Ok(input)) = InputId::from_reference(text) {
            found.push((pointer, input));
        }
    };
    match &request.body {
        Some(Body::Sketch(sketch)) => add("/sketch/palette".to_owned(), &sketch.palette),
        Some(Body::Comfyui(comfyui)) if comfyui.graph.is_empty() => {
            add("/comfyui/image".to_owned(), &comfyui.image);
            add("/comfyui/mask".to_owned(), &comfyui.mask);
            for (number, control) in comfyui.controls.iter().enumerate() {
                add(format!("/comfyui/controls/{number}/image"), &control.image);
            }
        }
        Some(Body::Comfyui(comfyui)) => in_graph(comfyui, &mut add),
        Some(Body::Flux(flux)) => {
            for (number, image) in flux.images.iter().enumerate() {
                add(format!("/flux/images/{number}"), image);
            }
            add("/flux/mask".to_owned(), &flux.mask);
        }
        Some(Body::V0(v0)) => {
            for (number, image) in v0.images.iter().enumerate() {
                add(format!("/v0/images/{number}"), image);
            }
        }
        None => {}
    }
    found
}

fn in_graph(comfyui: &ComfyUiRequest, add: &mut impl FnMut(String, &str)) {
    let graph: Value = serde_json::from_str(&comfyui.graph).unwrap_or_default();
    for (id, node) in graph.as_object().into_iter().flatten() {
        let inputs = node.get("inputs").and_then(Value::as_object);
        for (input, value) in inputs.into_iter().flatten() {
            // what the graph of a workflow holds came from a parameter or from who made the workflow
            let pointer = if comfyui.workflow.is_empty() {
                format!("/comfyui/graph/{}/inputs/{}", escaped(id), escaped(input))
            } else {
                "/comfyui/parameters".to_owned()
            };
            if let Some(text) = value.as_str() {
                add(pointer, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::v1::{ControlNet, SketchRequest};

    fn reference(digit: char) -> String {
        format!("asset:{}", digit.to_string().repeat(64))
    }

    fn pointers(body: Body) -> Vec<String> {
        let request = JobRequest {
            body: Some(body),
            ..JobRequest::default()
        };
        inputs(&request).into_iter().map(|(pointer, _)| pointer).collect()
    }

    const RESULT: &str = "artifact:0198f3a2-0000-7000-8000-000000000001-1-0";

    #[test]
    fn every_place_of_a_reference_is_told() {
        let sketch = SketchRequest {
            palette: RESULT.to_owned(),
            ..SketchRequest::default()
        };
        assert_eq!(pointers(Body::Sketch(sketch)), ["/sketch/palette"]);
        let control = ControlNet {
            image: RESULT.to_owned(),
            ..ControlNet::default()
        };
        let template = ComfyUiRequest {
            image: reference('1'),
            mask: "no reference".to_owned(),
            controls: vec![ControlNet::default(), control],
            ..ComfyUiRequest::default()
        };
        assert_eq!(
            pointers(Body::Comfyui(template)),
            ["/comfyui/image", "/comfyui/controls/1/image"]
        );
        let graph = json!({"a/b": {"class_type": "LoadImage", "inputs": {"image": reference('1'), "n": 1}}});
        let own = ComfyUiRequest {
            graph: graph.to_string(),
            ..ComfyUiRequest::default()
        };
        assert_eq!(
            pointers(Body::Comfyui(own.clone())),
            ["/comfyui/graph/a~1b/inputs/image"]
        );
        let workflow = ComfyUiRequest {
            workflow: "mine".to_owned(),
            ..own
        };
        assert_eq!(pointers(Body::Comfyui(workflow)), ["/comfyui/parameters"]);
    }
}
