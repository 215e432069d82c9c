//! WebSocket conversations: every message known, every preview a picture, every run's progress true.

use std::fs;

use bytes::Bytes;
use connectors::comfyui::{Event, GraphProgress, Phase, PreviewFormat, Snapshot};
use serde_json::Value;
use uuid::Uuid;

use crate::recording::{body, directory, has_extension};

/// The server's messages of a conversation; binary frames from their description, with a picture that is
/// only its head.
fn conversation(name: &str) -> Vec<Event> {
    let text = fs::read_to_string(directory().join(name)).expect(name);
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line"));
    let messages = lines.filter_map(|line| line.get("msg").cloned());
    messages
        .filter(Value::is_object)
        .map(|message| event(&message))
        .collect()
}

fn event(message: &Value) -> Event {
    if message["binary"] != true {
        return Event::from_text(&message.to_string());
    }
    let event = message["event"].as_u64().expect("an event") as u32;
    let mut frame = event.to_be_bytes().to_vec();
    if event == 4 {
        let metadata = message["metadata"].to_string();
        frame.extend((metadata.len() as u32).to_be_bytes());
        frame.extend(metadata.as_bytes());
    } else {
        frame.extend((message["image_type"].as_u64().expect("a type") as u32).to_be_bytes());
    }
    frame.extend([0xff, 0xd8, 0xff, 0xe0]);
    Event::from_binary(&Bytes::from(frame))
}

fn conversations() -> Vec<String> {
    let mut names = Vec::new();
    for folder in ["", "old_v0.3.64/"] {
        for entry in fs::read_dir(directory().join(folder)).expect("the recordings") {
            let name = entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name");
            if has_extension(&name, "jsonl") {
                names.push(format!("{folder}{name}"));
            }
        }
    }
    names
}

#[test]
fn every_message_of_every_conversation_is_known() {
    let mut seen = 0;
    for name in conversations() {
        for event in conversation(&name) {
            assert!(
                !matches!(event, Event::Other { .. } | Event::Unreadable { .. }),
                "{name}: {event:?}"
            );
            seen += 1;
        }
    }
    assert!(seen > 500, "only {seen} messages are recorded");
}

#[test]
fn recorded_previews_are_pictures() {
    let frame = |name: &str| Bytes::from(fs::read(directory().join(name)).expect(name));
    let Event::Preview(plain) = Event::from_binary(&frame("preview_type1_first_frame.bin")) else {
        panic!("type 1")
    };
    let Event::Preview(rich) = Event::from_binary(&frame("preview_type4_first_frame.bin")) else {
        panic!("type 4")
    };
    for preview in [&plain, &rich] {
        assert_eq!(preview.format, PreviewFormat::Jpeg);
        assert!(preview.bytes.starts_with(&[0xff, 0xd8]) && preview.bytes.ends_with(&[0xff, 0xd9]));
    }
    assert_eq!((plain.prompt_id, plain.node_id), (None, None));
    assert_eq!(
        rich.prompt_id.as_deref(),
        Some("49b4d39d-3d74-4515-a599-29e62c917966")
    );
    assert_eq!(rich.node_id.as_deref(), Some("3"));
}

/// Follows a recorded prompt: every snapshot that differed from the one before, and whether it was over.
fn follow(conversation_name: &str, graph: &Value, prompt_id: &str) -> (Vec<Snapshot>, bool) {
    let mut tracker = GraphProgress::new(Uuid::try_parse(prompt_id).expect("an id"), graph);
    let mut snapshots = vec![tracker.snapshot()];
    for event in conversation(conversation_name) {
        if tracker.apply(&event) {
            snapshots.push(tracker.snapshot());
        }
    }
    assert!(
        snapshots.is_sorted_by(|a, b| a.fraction <= b.fraction),
        "{conversation_name} went back"
    );
    (snapshots, tracker.has_ended())
}

/// The first prompt that a conversation tells the start of.
fn first_prompt(conversation_name: &str) -> String {
    let events = conversation(conversation_name);
    let start = events.into_iter().find_map(|event| {
        if let Event::ExecutionStart { prompt_id } = event {
            Some(prompt_id)
        } else {
            None
        }
    });
    start.expect(conversation_name)
}

fn sampler_graph() -> Value {
    let history = body("get_history_success_ksampler");
    history["61658ade-2a8d-4900-b417-b29323a58b53"]["prompt"][2].clone()
}

#[test]
fn a_cold_sampler_run_goes_through_its_phases() {
    let graph = sampler_graph();
    let id = first_prompt("ws_ksampler_cold.jsonl");
    let (snapshots, over) = follow("ws_ksampler_cold.jsonl", &graph, &id);
    let mut phases: Vec<Phase> = snapshots.iter().map(|snapshot| snapshot.phase).collect();
    phases.dedup();
    let sampling = |step| Phase::Sampling { step, steps: 4 };
    let expected = [
        Phase::Waiting,
        Phase::Working,
        Phase::LoadingModel,
        Phase::Working,
        sampling(0),
        sampling(1),
        sampling(2),
        sampling(3),
        sampling(4),
        Phase::Decoding,
        Phase::Saving,
        Phase::Working,
        Phase::Ended,
    ];
    assert_eq!(phases, expected);
    assert!(over);
    assert!((snapshots.last().expect("a last one").fraction - 1.0).abs() < f64::EPSILON);
    let midway = snapshots
        .iter()
        .find(|snapshot| snapshot.phase == sampling(2))
        .expect("step 2");
    assert_eq!(
        (midway.node_id.as_deref(), midway.node_class.as_deref()),
        (Some("3"), Some("KSampler"))
    );
    assert!(
        midway.fraction > 0.4 && midway.fraction < 0.8,
        "{}",
        midway.fraction
    );
}

#[test]
fn the_old_version_gives_the_same_phases() {
    let id = first_prompt("old_v0.3.64/ws_ksampler.jsonl");
    let (snapshots, over) = follow("old_v0.3.64/ws_ksampler.jsonl", &sampler_graph(), &id);
    assert!(
        snapshots
            .iter()
            .any(|snapshot| matches!(snapshot.phase, Phase::Sampling { step: 1.., .. }))
    );
    assert!(over && snapshots.last().is_some_and(|last| last.fraction >= 1.0));
}

#[test]
fn a_cached_run_jumps_and_a_broken_one_stays() {
    let id = first_prompt("ws_ksampler_cached_rerun.jsonl");
    let (snapshots, over) = follow("ws_ksampler_cached_rerun.jsonl", &sampler_graph(), &id);
    assert!(over && snapshots.last().is_some_and(|last| last.fraction >= 1.0));
    for name in [
        "ws_execution_error_corrupt_ckpt_truncated.jsonl",
        "ws_interrupted_with_prompt_id.jsonl",
        "ws_interrupt_during_model_load.jsonl",
    ] {
        let (snapshots, over) = follow(name, &sampler_graph(), &first_prompt(name));
        let last = snapshots.last().expect("a last one");
        assert!(over && last.phase == Phase::Ended, "{name}");
        assert!(last.fraction < 1.0, "{name}: {}", last.fraction);
    }
}

#[test]
fn a_follower_that_comes_late_catches_up() {
    let events = conversation("ws_reconnect_same_clientid.jsonl");
    let id = events
        .iter()
        .find_map(Event::prompt_id)
        .expect("an id")
        .to_owned();
    let (snapshots, over) = follow("ws_reconnect_same_clientid.jsonl", &sampler_graph(), &id);
    assert!(over);
    let steps = |snapshot: &Snapshot| snapshot.phase == Phase::Sampling { step: 3, steps: 40 };
    assert!(
        snapshots.iter().any(steps),
        "the number of steps comes from the server"
    );
}

#[test]
fn a_large_graph_ends_whole() {
    let history = body("get_history_full_graph");
    let (id, entry) = history
        .as_object()
        .and_then(|entries| entries.iter().next())
        .expect("an entry");
    let (snapshots, over) = follow("ws_full_graph_lora_vae_upscale.jsonl", &entry["prompt"][2], id);
    assert!(over && snapshots.last().is_some_and(|last| last.fraction >= 1.0));
    assert!(
        snapshots
            .iter()
            .any(|snapshot| snapshot.node_class.as_deref() == Some("ImageUpscaleWithModel"))
    );
}
