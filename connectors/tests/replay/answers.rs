//! HTTP answers: refusals, queues, histories, jobs, descriptions.

use connectors::comfyui::{
    Accepted, Failure, Folder, Job, JobStatus, NodeFault, ObjectInfo, Outcome, Queue, Rejection, Standing,
    SystemStats, standing_of,
};
use serde_json::json;
use uuid::Uuid;

use crate::recording::{body, named, recording};

fn rejection(name: &str) -> Rejection {
    let recording = recording(&format!("{name}.json"));
    Rejection::parse(&recording["body"], &recording["request"]["body"]["prompt"]).expect(name)
}

fn only_fault(name: &str) -> NodeFault {
    let mut faults = rejection(name).faults;
    assert_eq!(faults.len(), 1, "{name}");
    faults.remove(0)
}

#[test]
fn every_refusal_is_understood() {
    let mut seen = 0;
    for name in named("post_prompt_") {
        let recording = recording(&format!("{name}.json"));
        let graph = &recording["request"]["body"]["prompt"];
        match recording["status"].as_u64() {
            Some(400) => {
                let rejection = Rejection::parse(&recording["body"], graph).expect(&name);
                assert!(
                    !rejection.kind.is_empty() && !rejection.to_string().is_empty(),
                    "{name}"
                );
                seen += 1;
            }
            Some(200) => {
                // the old server takes any text for an id, which can be none of ours
                let own_words =
                    name.starts_with("old") && (name.contains("nonuuid") || name.contains("null"));
                assert_eq!(
                    Accepted::parse(&recording["body"], graph).is_some(),
                    !own_words,
                    "{name}"
                );
            }
            _ => assert!(Rejection::parse(&recording["body"], graph).is_none(), "{name}"),
        }
    }
    assert!(seen >= 20, "only {seen} refusals are recorded");
}

#[test]
fn a_missing_checkpoint_names_node_input_and_what_there_is() {
    for version in ["", "old_v0.3.64/"] {
        let fault = only_fault(&format!("{version}post_prompt_err_ckpt_not_in_list"));
        assert_eq!(fault.node_id, "4");
        assert_eq!(fault.class_type.as_deref(), Some("CheckpointLoaderSimple"));
        assert_eq!(fault.input.as_deref(), Some("ckpt_name"));
        assert_eq!(fault.kind, "value_not_in_list");
        assert_eq!(fault.received, Some(json!("nope.safetensors")));
        assert!(
            fault
                .allowed
                .contains(&"v1-5-pruned-emaonly.safetensors".to_owned())
        );
    }
}

#[test]
fn an_unknown_class_is_a_fault_of_its_node_in_both_versions() {
    for name in [
        "post_prompt_err_unknown_class",
        "old_v0.3.64/post_prompt_err_unknown_class",
    ] {
        let fault = only_fault(name);
        assert_eq!(
            (fault.node_id.as_str(), fault.class_type.as_deref()),
            ("1", Some("NoSuchNode")),
            "{name}"
        );
    }
    let titled = only_fault("post_prompt_err_unknown_class_titled");
    assert_eq!(titled.class_type.as_deref(), Some("NoSuchNode"));
    assert_eq!(titled.title.as_deref(), Some("My Node"));
    assert_eq!(only_fault("post_prompt_err_no_class_type").class_type, None);
}

#[test]
fn the_kinds_of_faults_are_kept() {
    for (name, kind, input) in [
        (
            "post_prompt_err_bad_linked_input",
            "bad_linked_input",
            Some("images"),
        ),
        (
            "post_prompt_err_type_mismatch",
            "return_type_mismatch",
            Some("images"),
        ),
        (
            "post_prompt_err_dangling_link",
            "exception_during_validation",
            None,
        ),
        (
            "post_prompt_loadimage_missing",
            "custom_validation_failed",
            Some("image"),
        ),
    ] {
        let fault = only_fault(name);
        assert_eq!(
            (fault.kind.as_str(), fault.input.as_deref()),
            (kind, input),
            "{name}"
        );
    }
    let several = rejection("post_prompt_err_multi_bad_values");
    assert!(several.faults.len() >= 2 && several.faults.is_sorted_by_key(|fault| fault.input.clone()));
    assert_eq!(rejection("post_prompt_err_cycle").faults.len(), 2);
    assert!(rejection("old_v0.3.64/post_prompt_cycle").faults.is_empty());
}

#[test]
fn a_success_can_drop_outputs() {
    let recording = recording("post_prompt_ok_partial_outputs.json");
    let accepted =
        Accepted::parse(&recording["body"], &recording["request"]["body"]["prompt"]).expect("accepted");
    assert_eq!(accepted.dropped.len(), 1);
    assert_eq!(accepted.dropped[0].input.as_deref(), Some("height"));
}

#[test]
fn queues_are_read_and_sorted() {
    for name in named("get_queue") {
        let recording = recording(&format!("{name}.json"));
        assert_eq!(
            Queue::parse(&recording["body"]).is_some(),
            recording["status"] == 200 && recording["body"].is_object(),
            "{name}"
        );
    }
    let queue = Queue::parse(&body("get_queue_running_and_pending")).expect("a queue");
    assert!(queue.runs("c0e10b41-e1f9-416f-abbc-9bdd6e0d8c5c"));
    assert_eq!(
        queue.running[0].client_id(),
        Some("d2add3d1-4fd6-4c3d-a37c-61b4d49abd29")
    );
    assert_eq!(
        queue.position("a64f1441-4604-46aa-b813-4d07bd399a00"),
        Some(1),
        "a negative number goes first"
    );
    assert!(queue.pending.is_sorted_by(|a, b| a.number <= b.number));
}

/// The prompt that a history recording asked for, and where it stood.
fn history_standing(name: &str) -> Standing {
    let recording = recording(&format!("{name}.json"));
    let path = recording["request"]["path"].as_str().expect("a path").to_owned();
    let id = path
        .rsplit('/')
        .next()
        .and_then(|id| Uuid::try_parse(id).ok())
        .unwrap_or_default();
    standing_of(id, &Queue::default(), &recording["body"])
}

fn failure(standing: Standing) -> Box<Failure> {
    let Standing::Ended(Outcome::Failed(failure)) = standing else {
        panic!("{standing:?} is no failure")
    };
    failure
}

#[test]
fn every_history_entry_has_its_outcome() {
    for name in named("get_history") {
        let entries = body(&name);
        for (id, entry) in entries.as_object().into_iter().flatten() {
            let Ok(id) = Uuid::try_parse(id) else { continue };
            let standing = standing_of(id, &Queue::default(), &entries);
            let interrupted = entry.to_string().contains("execution_interrupted");
            match (entry["status"]["status_str"].as_str(), standing) {
                (Some("success"), Standing::Ended(Outcome::Succeeded { outputs })) => {
                    let shown = entry["outputs"]
                        .as_object()
                        .is_some_and(|outputs| !outputs.is_empty());
                    assert_eq!(!outputs.is_empty(), shown, "{name}");
                }
                (Some("error"), Standing::Ended(Outcome::Interrupted(_))) => assert!(interrupted, "{name}"),
                (Some("error"), Standing::Ended(Outcome::Failed(_))) => assert!(!interrupted, "{name}"),
                (status, standing) => panic!("{name}: {status:?} was read as {standing:?}"),
            }
        }
    }
    for name in [
        "get_history_unknown_id",
        "get_history_while_running",
        "get_history_after_restart",
    ] {
        assert_eq!(history_standing(name), Standing::Unknown, "{name}");
    }
}

#[test]
fn a_corrupt_checkpoint_is_named() {
    for (name, file) in [
        (
            "get_history_error_corrupt_ckpt_truncated",
            "sd_xl_base_1.0.safetensors",
        ),
        ("get_history_error_corrupt_ckpt_garbage", "garbage.safetensors"),
    ] {
        let failure = failure(history_standing(name));
        assert_eq!(failure.node_id.as_deref(), Some("4"), "{name}");
        assert_eq!(
            failure.exception_type, "safetensors._safetensors_rust.SafetensorError",
            "{name}"
        );
        assert!(!failure.message.ends_with('\n'), "{name}");
        assert_eq!(failure.unreadable_model(), Some(file), "{name}");
    }
}

#[test]
fn a_failure_keeps_what_others_had_made() {
    let failure = failure(history_standing("get_history_error_with_partial_outputs"));
    assert_eq!(failure.node_type.as_deref(), Some("LoadImage"));
    assert_eq!(failure.outputs[0].file.filename, "branch_ok_00001_.png");
    assert_eq!(failure.unreadable_model(), None);
}

#[test]
fn videos_and_previews_are_outputs_too() {
    for (name, filename, animated) in [
        ("get_history_savewebm", "vid_00001_.webm", true),
        ("get_history_success_ksampler", "ks_00001_.png", false),
    ] {
        let Standing::Ended(Outcome::Succeeded { outputs }) = history_standing(name) else {
            panic!("{name}")
        };
        assert_eq!(outputs[0].file.filename, filename);
        assert_eq!(
            (outputs[0].animated, outputs[0].file.folder),
            (animated, Folder::Output),
            "{name}"
        );
    }
    let Standing::Ended(Outcome::Succeeded { outputs }) = history_standing("get_history_savevideo") else {
        panic!()
    };
    assert_eq!(outputs[0].file.subfolder, "video");
}

#[test]
fn jobs_are_read_in_every_state() {
    for (name, status) in [
        ("get_api_jobs_id_pending", JobStatus::Pending),
        ("get_api_jobs_id_running", JobStatus::InProgress),
        ("get_api_jobs_id_completed", JobStatus::Completed),
        ("get_api_jobs_id_failed_truncated", JobStatus::Failed),
        ("get_api_jobs_id_failed_garbage", JobStatus::Failed),
        ("get_api_jobs_id_interrupted", JobStatus::Cancelled),
    ] {
        let job = Job::parse(&body(name)).expect(name);
        assert_eq!(job.status, status, "{name}");
        let agrees = match (status, &job.outcome) {
            (JobStatus::Pending | JobStatus::InProgress, None) => true,
            (JobStatus::Completed, Some(Outcome::Succeeded { outputs })) => !outputs.is_empty(),
            (JobStatus::Failed, Some(Outcome::Failed(failure))) => failure.unreadable_model().is_some(),
            (JobStatus::Cancelled, Some(Outcome::Interrupted(at))) => at.node_id.as_deref() == Some("3"),
            _ => false,
        };
        assert!(agrees, "{name}: {:?}", job.outcome);
    }
    assert!(Job::parse(&body("get_api_jobs_id_unknown")).is_none());
}

#[test]
fn combos_of_both_forms_are_read() {
    let info = ObjectInfo::parse(&recording("get_object_info_subset.json")["body_subset"]).expect("classes");
    let options = |class: &str, input: &str| {
        info.options(class, input)
            .unwrap_or_else(|| panic!("{class}.{input}"))
    };
    assert!(options("CheckpointLoaderSimple", "ckpt_name").contains(&"garbage.safetensors".to_owned()));
    assert_eq!(
        options("UpscaleModelLoader", "model_name"),
        ["RealESRGAN_x4plus.safetensors"]
    );
    assert!(options("SaveVideo", "format").contains(&"auto".to_owned()));
    assert_eq!(
        options("ControlNetLoader", "control_net_name"),
        Vec::<String>::new()
    );
    assert_eq!(info.options("KSampler", "steps"), None);
    assert!(info.class("SaveImage").expect("SaveImage").output_node);
    assert!(info.class("NoSuch").is_none());
    assert!(
        ObjectInfo::parse(&body("get_object_info_NoSuch"))
            .expect("an object")
            .is_empty()
    );
}

#[test]
fn system_stats_of_both_versions_are_read() {
    for (name, version) in [
        ("get_system_stats", "0.33.0"),
        ("old_v0.3.64/get_system_stats", "0.3.64"),
    ] {
        let stats = SystemStats::parse(&body(name)).expect(name);
        assert_eq!(stats.comfyui_version.as_deref(), Some(version));
        assert_eq!(stats.devices[0].kind, "cpu");
        assert!(stats.ram_total.is_some_and(|bytes| bytes > 0));
    }
}
