//! Which JSON fits a message of the contract: names and kinds of its fields, from the compiled contract.
//!
//! The JSON mapping itself would stop at the first fault and name no place; this finds all of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use proto::request::Fault;
use serde_json::Value;

/// Messages whose JSON is not an object of their fields.
const TIMESTAMP: &str = ".google.protobuf.Timestamp";

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::load);

#[derive(Default)]
struct Contract {
    messages: BTreeMap<String, Vec<FieldDescriptorProto>>,
    enums: BTreeMap<String, Vec<String>>,
}

impl Contract {
    fn load() -> Self {
        let mut contract = Self::default();
        // what cannot be decoded here is still refused by the JSON mapping, only in fewer words
        let set = FileDescriptorSet::decode(proto::DESCRIPTOR).unwrap_or_default();
        for file in set.file {
            let package = format!(".{}", file.package());
            for message in &file.message_type {
                contract.add_message(&package, message);
            }
            for values in &file.enum_type {
                contract.add_enum(&package, values);
            }
        }
        contract
    }

    fn add_message(&mut self, scope: &str, message: &DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        for nested in &message.nested_type {
            self.add_message(&name, nested);
        }
        for values in &message.enum_type {
            self.add_enum(&name, values);
        }
        self.messages.insert(name, message.field.clone());
    }

    fn add_enum(&mut self, scope: &str, values: &EnumDescriptorProto) {
        let names = values.value.iter().map(|value| value.name().to_owned());
        self.enums
            .insert(format!("{scope}.{}", values.name()), names.collect());
    }
}

/// Everything in a value that does not fit the message, each with its place.
pub(crate) fn check(message: &str, value: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    check_message(&format!(".{message}"), value, "", &mut faults);
    faults
}

/// How the fields of a message may be spelled.
pub(crate) fn names(message: &str) -> BTreeSet<String> {
    let fields = CONTRACT.messages.get(&format!(".{message}"));
    let fields = fields.into_iter().flatten();
    fields
        .flat_map(|field| [field.name().to_owned(), field.json_name().to_owned()])
        .collect()
}

/// The choice that somebody most likely meant, if one is near.
pub(crate) fn nearest<'a>(word: &str, choices: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    choices
        .map(|choice| (strsim::jaro_winkler(word, choice), choice))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, choice)| choice)
}

/// What a value is, in words.
pub(crate) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn check_message(message: &str, value: &Value, pointer: &str, faults: &mut Vec<Fault>) {
    let Some(fields) = CONTRACT.messages.get(message) else {
        return;
    };
    let Value::Object(object) = value else {
        return add(faults, pointer, format!("must be an object, not {}", kind(value)));
    };
    let mut chosen: BTreeMap<i32, &str> = BTreeMap::new();
    for (key, value) in object {
        let place = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
        let Some(field) = fields
            .iter()
            .find(|field| field.name() == key || field.json_name() == key)
        else {
            add(faults, &place, unknown(key, fields));
            continue;
        };
        if value.is_null() {
            continue;
        }
        if let Some(choice) = field.oneof_index.filter(|_| !field.proto3_optional())
            && let Some(other) = chosen.insert(choice, field.name())
        {
            add(faults, &place, format!("cannot be given together with `{other}`"));
        }
        check_field(field, value, &place, faults);
    }
}

fn check_field(field: &FieldDescriptorProto, value: &Value, place: &str, faults: &mut Vec<Fault>) {
    if field.label() != Label::Repeated {
        return check_value(field, value, place, faults);
    }
    let Value::Array(values) = value else {
        return add(faults, place, format!("must be a list, not {}", kind(value)));
    };
    for (i, value) in values.iter().enumerate() {
        check_value(field, value, &format!("{place}/{i}"), faults);
    }
}

fn check_value(field: &FieldDescriptorProto, value: &Value, place: &str, faults: &mut Vec<Fault>) {
    let expected = match field.r#type() {
        Type::Message | Type::Group if field.type_name() == TIMESTAMP => {
            let fits = serde_json::from_value::<pbjson_types::Timestamp>(value.clone()).is_ok();
            (!fits).then(|| "a time such as \"2026-11-21T05:30:00Z\"".to_owned())
        }
        Type::Message | Type::Group => return check_message(field.type_name(), value, place, faults),
        Type::Enum => return check_enum(field.type_name(), value, place, faults),
        Type::String | Type::Bytes => (!value.is_string()).then(|| "text".to_owned()),
        Type::Bool => (!value.is_boolean()).then(|| "true or false".to_owned()),
        Type::Double | Type::Float => (!is_real(value)).then(|| "a number".to_owned()),
        Type::Uint32 | Type::Fixed32 => whole(value, 0, i128::from(u32::MAX)),
        Type::Uint64 | Type::Fixed64 => whole(value, 0, i128::from(u64::MAX)),
        Type::Int32 | Type::Sint32 | Type::Sfixed32 => {
            whole(value, i128::from(i32::MIN), i128::from(i32::MAX))
        }
        Type::Int64 | Type::Sint64 | Type::Sfixed64 => {
            whole(value, i128::from(i64::MIN), i128::from(i64::MAX))
        }
    };
    if let Some(expected) = expected {
        add(faults, place, format!("must be {expected}, not {}", shown(value)));
    }
}

fn check_enum(name: &str, value: &Value, place: &str, faults: &mut Vec<Fault>) {
    let names = CONTRACT.enums.get(name).map(Vec::as_slice).unwrap_or_default();
    // a number that names nothing is refused by the JSON mapping
    let known = match value.as_str() {
        Some(text) => names.iter().any(|name| name == text),
        None => value.is_u64(),
    };
    if !known {
        let meant = value
            .as_str()
            .and_then(|text| nearest(text, names.iter().map(String::as_str)))
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        let names = names.join(", ");
        add(
            faults,
            place,
            format!("must be one of {names}, not {}{meant}", shown(value)),
        );
    }
}

fn whole(value: &Value, min: i128, max: i128) -> Option<String> {
    let number = match value {
        Value::Number(number) => number
            .as_u64()
            .map(i128::from)
            .or_else(|| number.as_i64().map(i128::from)),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let fits = number.is_some_and(|number| (min..=max).contains(&number));
    (!fits).then(|| format!("a whole number from {min} to {max}"))
}

fn is_real(value: &Value) -> bool {
    value.is_number() || value.as_str().is_some_and(|text| text.parse::<f64>().is_ok())
}

fn unknown(key: &str, fields: &[FieldDescriptorProto]) -> String {
    let names = || fields.iter().map(FieldDescriptorProto::name);
    match nearest(key, names()) {
        Some(near) => format!("is an unknown field; did you mean `{near}`?"),
        None => format!(
            "is an unknown field; the fields are {}",
            names().collect::<Vec<_>>().join(", ")
        ),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(_) | Value::Number(_) => value.to_string().chars().take(80).collect(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => kind(value).to_owned(),
    }
}

fn add(faults: &mut Vec<Fault>, pointer: &str, message: String) {
    faults.push(Fault {
        pointer: pointer.to_owned(),
        message,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1::{JobRequest, SketchRequest, job_request::Body};

    #[test]
    fn what_the_mapping_writes_fits() {
        let request = JobRequest {
            body: Some(Body::Sketch(SketchRequest {
                prompt: "a lake".into(),
                seed: Some(u64::MAX),
                ..SketchRequest::default()
            })),
            priority: proto::Priority::High.into(),
            deadline: Some(proto::moment::timestamp(1_700_000_000_123)),
            tags: vec!["t".into()],
            hold: true,
            ..JobRequest::default()
        };
        let value = serde_json::to_value(request).expect("JSON");
        assert_eq!(check("orchestrator.v1.JobRequest", &value), []);
    }

    #[test]
    fn both_spellings_of_a_field_are_its_name() {
        let value = serde_json::json!({"maxAttempts": 2, "max_attempts": 3, "hold": null});
        assert_eq!(check("orchestrator.v1.JobRequest", &value), []);
    }
}
