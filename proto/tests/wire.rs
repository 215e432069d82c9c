//! The wire does not change by accident: what is in these snapshots is a promise to older and newer
//! processes, to what is stored, and to other people's programs.

use prost::Message as _;
use prost_types::{FileDescriptorSet, field_descriptor_proto::Type};
use proto::{
    Backend, EventKind, Status,
    moment::timestamp,
    topology,
    v1::{Claim, Job, JobEvent, JobRequest, SketchRequest, job_request::Body},
};

fn job() -> Job {
    let sketch = SketchRequest {
        prompt: "ein See — 湖".into(),
        seed: Some(u64::MAX),
        width: 512,
        ..Default::default()
    };
    Job {
        id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
        status: Status::Running.into(),
        backend: Backend::Sketch.into(),
        lane: "_".into(),
        request: Some(JobRequest {
            body: Some(Body::Sketch(sketch)),
            max_attempts: 3,
            ..Default::default()
        }),
        created_at: Some(timestamp(1_763_702_663_123)),
        attempt: 1,
        claim: Some(Claim {
            claim_id: "c".into(),
            worker: "w".into(),
            ..Default::default()
        }),
        timeline: vec![JobEvent {
            number: 1,
            kind: EventKind::Submitted.into(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn messages_fields_and_services() {
    let set = FileDescriptorSet::decode(proto::DESCRIPTOR).expect("the compiled contract");
    let mut lines = Vec::new();
    for file in set.file.iter().filter(|file| file.package() == "orchestrator.v1") {
        for message in &file.message_type {
            for field in &message.field {
                let kind = if matches!(field.r#type(), Type::Message | Type::Enum) {
                    field.type_name().trim_start_matches('.').to_owned()
                } else {
                    field
                        .r#type()
                        .as_str_name()
                        .trim_start_matches("TYPE_")
                        .to_lowercase()
                };
                let label = field
                    .label()
                    .as_str_name()
                    .trim_start_matches("LABEL_")
                    .to_lowercase();
                lines.push(format!(
                    "{}.{} = {} {label} {kind}",
                    message.name(),
                    field.name(),
                    field.number()
                ));
            }
            for values in &message.enum_type {
                for value in &values.value {
                    lines.push(format!(
                        "{}.{}: {} = {}",
                        message.name(),
                        values.name(),
                        value.name(),
                        value.number()
                    ));
                }
            }
        }
        for service in &file.service {
            for method in &service.method {
                let stream = |is: bool| if is { "stream " } else { "" };
                lines.push(format!(
                    "rpc {}.{}({}{}) returns ({}{})",
                    service.name(),
                    method.name(),
                    stream(method.client_streaming()),
                    method.input_type(),
                    stream(method.server_streaming()),
                    method.output_type(),
                ));
            }
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_stored_record() {
    let bytes = job().encode_to_vec();
    insta::assert_snapshot!(proto::ids::hex(&bytes));
    assert_eq!(Job::decode(bytes.as_slice()).expect("readable"), job());
}

#[test]
fn a_job_as_json() {
    let json = serde_json::to_string_pretty(&job()).expect("writable");
    insta::assert_snapshot!(json);
    assert_eq!(serde_json::from_str::<Job>(&json).expect("readable"), job());
}

#[test]
fn streams() {
    insta::assert_debug_snapshot!(topology::STREAMS);
}
