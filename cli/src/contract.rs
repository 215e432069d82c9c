//! The fields of the contract's messages with their kinds, out of its own descriptor: so that every field can
//! be set by name, and an unknown name is told with those that come near.

use std::{collections::HashMap, sync::LazyLock};

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use proto::moment::Millis;
use serde_json::{Map, Value};

use crate::moment;

/// How like two names must be for one to be offered in place of the other; 1 is the same.
const LIKENESS: f64 = 0.75;

/// What may stand in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// A whole number from 0 up to this one.
    Whole(u64),
    Real,
    Flag,
    /// One of these words.
    Choice(Vec<String>),
    Moment,
    /// A message of this name, with fields of its own.
    Message(String),
    /// Nothing that can be written as one text.
    Other,
}

/// A field of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) repeated: bool,
}

/// By full name, with a period in front.
static MESSAGES: LazyLock<HashMap<String, Vec<Field>>> = LazyLock::new(|| described(proto::DESCRIPTOR));

/// The fields of the message with this full name, such as `.orchestrator.v1.SketchRequest`.
pub(crate) fn fields(message: &str) -> &'static [Field] {
    MESSAGES.get(message).map_or(&[], Vec::as_slice)
}

/// A message of the contract that comes as JSON.
pub(crate) trait Message: serde::de::DeserializeOwned {
    /// Its full name, with a period in front.
    const NAME: &'static str;
}

macro_rules! messages {
    ($($name:ident),* $(,)?) => {
        $(impl Message for proto::v1::$name {
            const NAME: &'static str = concat!(".orchestrator.v1.", stringify!($name));
        })*
    };
}

messages!(
    BackendOffer,
    FileReport,
    GetSpendResponse,
    Host,
    HostLog,
    IgniteStep,
    ListLedgerResponse,
    ListWorkersResponse,
    ListWorkflowsResponse,
    SpendAccount,
    ValidateResponse,
    VerifyProgress,
    Workflow,
);

/// Reads a message from JSON that may say more than this version of the contract knows. Where a text is JSON
/// (a graph), it may stand there as such.
///
/// # Errors
/// That something known is not what it should be.
pub(crate) fn read<T: Message>(mut value: Value) -> Result<T, serde_json::Error> {
    prune(&mut value, T::NAME);
    serde_json::from_value(value)
}

fn prune(value: &mut Value, message: &str) {
    let known = fields(message);
    let Value::Object(object) = value else { return };
    // null stands for what is absent
    object.retain(|name, value| !value.is_null() && known.iter().any(|field| field.name == *name));
    for field in known {
        let Some(value) = object.get_mut(&field.name) else {
            continue;
        };
        match (&field.kind, value) {
            (Kind::Message(inner), Value::Array(items)) => {
                for item in items {
                    prune(item, inner);
                }
            }
            (Kind::Message(inner), value) => prune(value, inner),
            (Kind::Text, value) if !field.repeated && !value.is_string() => {
                *value = Value::from(value.to_string());
            }
            _ => {}
        }
    }
}

/// The words that a field takes, without the one that stands for none.
pub(crate) fn choices(message: &str, field: &str) -> Vec<&'static str> {
    let field = fields(message).iter().find(|known| known.name == field);
    match field.map(|field| &field.kind) {
        Some(Kind::Choice(words)) => words
            .iter()
            .map(String::as_str)
            .filter(|word| *word != "unspecified")
            .collect(),
        Some(
            Kind::Text
            | Kind::Whole(_)
            | Kind::Real
            | Kind::Flag
            | Kind::Moment
            | Kind::Message(_)
            | Kind::Other,
        )
        | None => Vec::new(),
    }
}

/// Sets the field that `path` names (`steps`, `rehearsal.act`) in the JSON form of a message.
///
/// # Errors
/// That there is no such field, with those that come near, or what would be right for it.
pub(crate) fn set(
    object: &mut Map<String, Value>,
    message: &str,
    path: &str,
    text: &str,
    now: Millis,
) -> Result<(), String> {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    let known = fields(message);
    let Some(field) = known.iter().find(|field| field.name == name) else {
        return Err(unknown(name, known.iter().map(|field| field.name.as_str())));
    };
    match (&field.kind, rest) {
        (Kind::Message(_), None) if field.repeated => {
            let list: Vec<Value> = serde_json::from_str(text)
                .map_err(|_| format!("{name} is a list; give it as JSON, such as [{{…}}, {{…}}]"))?;
            object.insert(name.to_owned(), Value::Array(list));
            Ok(())
        }
        (Kind::Message(_), Some(_)) if field.repeated => Err(format!(
            "{name} is a list; give all of it as JSON, such as [{{…}}, {{…}}]"
        )),
        (Kind::Message(inner), Some(rest)) => {
            let value = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(value) = value else {
                return Err(format!("{name} was set to something else before"));
            };
            set(value, inner, rest, text, now)
        }
        (Kind::Message(inner), None) => {
            let names: Vec<String> = fields(inner)
                .iter()
                .map(|field| format!("{name}.{}", field.name))
                .collect();
            Err(format!("{name} has parts; set {}", names.join(", ")))
        }
        (_, Some(_)) => Err(format!("{name} has no parts")),
        (kind, None) if field.repeated => {
            let items: Result<Vec<Value>, String> = text
                .split(',')
                .map(|item| value(kind, name, item.trim(), now))
                .collect();
            object.insert(name.to_owned(), Value::Array(items?));
            Ok(())
        }
        (kind, None) => {
            object.insert(name.to_owned(), value(kind, name, text, now)?);
            Ok(())
        }
    }
}

/// A message for a name that is none, with the names that come near, or else all names.
pub(crate) fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let mut near: Vec<(f64, &str)> = known
        .iter()
        .map(|other| (strsim::jaro_winkler(name, other), *other))
        .filter(|(likeness, other)| *likeness >= LIKENESS || other.contains(name))
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    if near.is_empty() {
        format!("there is no parameter {name:?}; there are {}", known.join(", "))
    } else {
        let near: Vec<&str> = near.into_iter().take(3).map(|(_, other)| other).collect();
        format!(
            "there is no parameter {name:?}; did you mean {}?",
            near.join(" or ")
        )
    }
}

fn value(kind: &Kind, name: &str, text: &str, now: Millis) -> Result<Value, String> {
    let wrong = |right: &str| format!("{name}: {text:?} is not {right}");
    match kind {
        Kind::Text => Ok(Value::from(text)),
        Kind::Whole(max) => match text.parse::<u64>() {
            Ok(number) if number <= *max => Ok(Value::from(number)),
            _ => Err(wrong(&format!("a whole number from 0 to {max}"))),
        },
        Kind::Real => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::from(number)),
            _ => Err(wrong("a number")),
        },
        Kind::Flag => text
            .parse::<bool>()
            .map(Value::from)
            .map_err(|_| wrong("true or false")),
        Kind::Choice(words) if words.iter().any(|word| word == text) => Ok(Value::from(text)),
        Kind::Choice(words) => Err(wrong(&format!("one of {}", words.join(", ")))),
        Kind::Moment => moment::parse(text, now)
            .map(|at| Value::from(moment::rfc3339(at)))
            .map_err(|fault| format!("{name}: {fault}")),
        Kind::Message(_) | Kind::Other => Err(format!("{name} cannot be set from a text")),
    }
}

fn described(descriptor: &[u8]) -> HashMap<String, Vec<Field>> {
    let files = FileDescriptorSet::decode(descriptor).unwrap_or_default().file;
    let mut enums = HashMap::new();
    for file in &files {
        let package = format!(".{}", file.package());
        for message in &file.message_type {
            collect_enums(&package, message, &mut enums);
        }
        add_enums(&package, &file.enum_type, &mut enums);
    }
    let mut messages = HashMap::new();
    for file in &files {
        for message in &file.message_type {
            collect_messages(&format!(".{}", file.package()), message, &enums, &mut messages);
        }
    }
    messages
}

type Enums = HashMap<String, Vec<String>>;

fn collect_enums(scope: &str, message: &DescriptorProto, enums: &mut Enums) {
    let scope = format!("{scope}.{}", message.name());
    add_enums(&scope, &message.enum_type, enums);
    for inner in &message.nested_type {
        collect_enums(&scope, inner, enums);
    }
}

fn add_enums(scope: &str, found: &[EnumDescriptorProto], enums: &mut Enums) {
    for one in found {
        let words = one.value.iter().map(|value| value.name().to_owned()).collect();
        enums.insert(format!("{scope}.{}", one.name()), words);
    }
}

fn collect_messages(
    scope: &str,
    message: &DescriptorProto,
    enums: &Enums,
    messages: &mut HashMap<String, Vec<Field>>,
) {
    let scope = format!("{scope}.{}", message.name());
    let fields = message.field.iter().map(|field| Field {
        name: field.name().to_owned(),
        kind: kind(field, enums),
        repeated: field.label() == Label::Repeated,
    });
    messages.insert(scope.clone(), fields.collect());
    for inner in &message.nested_type {
        collect_messages(&scope, inner, enums, messages);
    }
}

fn kind(field: &FieldDescriptorProto, enums: &Enums) -> Kind {
    match field.r#type() {
        Type::String => Kind::Text,
        Type::Bool => Kind::Flag,
        Type::Uint32 | Type::Fixed32 => Kind::Whole(u64::from(u32::MAX)),
        Type::Uint64 | Type::Fixed64 => Kind::Whole(u64::MAX),
        Type::Float | Type::Double => Kind::Real,
        Type::Enum => enums
            .get(field.type_name())
            .map_or(Kind::Other, |words| Kind::Choice(words.clone())),
        Type::Message if field.type_name() == ".google.protobuf.Timestamp" => Kind::Moment,
        Type::Message => Kind::Message(field.type_name().to_owned()),
        Type::Bytes
        | Type::Group
        | Type::Int32
        | Type::Int64
        | Type::Sint32
        | Type::Sint64
        | Type::Sfixed32
        | Type::Sfixed64 => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SKETCH: &str = ".orchestrator.v1.SketchRequest";
    const REQUEST: &str = ".orchestrator.v1.JobRequest";

    fn set_one(message: &str, path: &str, text: &str) -> Result<Value, String> {
        let mut object = Map::new();
        set(&mut object, message, path, text, 0).map(|()| Value::Object(object))
    }

    #[test]
    fn a_text_becomes_what_its_field_takes() {
        assert_eq!(set_one(SKETCH, "prompt", "123"), Ok(json!({"prompt": "123"})));
        assert_eq!(
            set_one(SKETCH, "seed", "18446744073709551615"),
            Ok(json!({"seed": u64::MAX}))
        );
        assert_eq!(
            set_one(SKETCH, "rehearsal.act", "slow"),
            Ok(json!({"rehearsal": {"act": "slow"}}))
        );
        assert_eq!(set_one(REQUEST, "tags", "a, b"), Ok(json!({"tags": ["a", "b"]})));
        assert_eq!(
            set_one(REQUEST, "not_before", "+1s"),
            Ok(json!({"not_before": "1970-01-01T00:00:01Z"}))
        );
        assert_eq!(set_one(REQUEST, "hold", "true"), Ok(json!({"hold": true})));
    }

    #[test]
    fn what_a_newer_gateway_says_besides_is_left_out() {
        let answer = json!({
            "graph": {"3": {"class_type": "A", "more": 1}},
            "needs": [{"kind": "lora", "name": "a", "newer": true}],
            "workers": ["w1"],
            "request": null,
            "newer": {"a": 1},
        });
        let read: proto::v1::ValidateResponse = read(answer).expect("read");
        assert_eq!(read.graph, r#"{"3":{"class_type":"A","more":1}}"#);
        assert_eq!((read.needs[0].name.as_str(), read.workers.len()), ("a", 1));
        let wrong = super::read::<proto::v1::HostLog>(json!({"lines": 3}));
        assert!(wrong.is_err());
    }

    #[test]
    fn a_list_of_messages_is_given_as_json() {
        let message = ".orchestrator.v1.ComfyUiRequest";
        assert_eq!(
            set_one(message, "loras", r#"[{"name":"a"}]"#),
            Ok(json!({"loras": [{"name": "a"}]}))
        );
        for (path, text) in [("loras", "a"), ("loras.name", "a")] {
            let fault = set_one(message, path, text).expect_err("no list");
            assert!(fault.contains("loras is a list"), "{fault}");
        }
        assert!(choices(message, "task").contains(&"inpaint"));
        assert!(!choices(message, "task").contains(&"unspecified"));
    }

    #[test]
    fn what_does_not_fit_says_what_would() {
        let fault = |message, path, text| set_one(message, path, text).expect_err("does not fit");
        assert_eq!(
            fault(SKETCH, "stps", "1"),
            "there is no parameter \"stps\"; did you mean steps?"
        );
        assert!(fault(SKETCH, "zzz", "1").contains("there are prompt, seed, width"));
        assert_eq!(
            fault(SKETCH, "steps", "-1"),
            "steps: \"-1\" is not a whole number from 0 to 4294967295"
        );
        assert!(fault(SKETCH, "rehearsal", "slow").contains("rehearsal.act"));
        assert!(fault(SKETCH, "rehearsal.act", "dance").contains("one of none, fail, stall"));
        assert!(fault(SKETCH, "steps.x", "1").contains("has no parts"));
        assert!(fault(REQUEST, "priority", "urgent").contains("normal, high, low"));
    }
}
