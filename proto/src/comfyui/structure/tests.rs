//! What is a graph and what is not.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn told(graph: &Value) -> Vec<String> {
    check(graph, "/g")
        .into_iter()
        .map(|fault| format!("{} {}", fault.pointer, fault.message))
        .collect()
}

fn node(inputs: &Value) -> Value {
    json!({"class_type": "A", "inputs": inputs})
}

#[test]
fn what_was_exported_otherwise_is_recognised() {
    for graph in [
        json!({"nodes": [], "links": []}),
        json!({"id": "8e3c", "revision": 0, "last_node_id": 9, "nodes": []}),
        json!({"last_node_id": 9}),
    ] {
        let told = told(&graph);
        assert!(told.len() == 1 && told[0].contains("Export (API)"), "{told:?}");
    }
    let body = json!({"prompt": {"1": node(&json!({}))}, "client_id": "x"});
    assert!(told(&body)[0].contains("under its `prompt`"), "{:?}", told(&body));
    // somebody may call a node so
    assert_eq!(
        told(&json!({"prompt": node(&json!({})), "id": node(&json!({}))})),
        [""; 0]
    );
}

#[test]
fn every_node_and_link_is_looked_at() {
    let graph = json!({
        "1": node(&json!({"ok": ["5", 0], "number": 3, "list": {"__value__": [1, [2]]}})),
        "2": {"inputs": {}},
        "3": {"class_type": 7, "inputs": []},
        "4": 5,
        "5": node(&json!({
            "a": ["nowhere", 0], "b": [1, 2, 3], "c": [1, 0], "d": ["1"], "e/f": "asset:x", "g": ["6", -1],
            "h": {"deep": ["asset:y"]},
        })),
        "6": node(&json!({})),
    });
    let told = told(&graph);
    let expected = [
        ("/g/2/class_type", "needs a class_type"),
        ("/g/3/class_type", "needs a class_type"),
        ("/g/3/inputs", "needs an object `inputs`"),
        ("/g/4", "must be an object"),
        ("/g/5/inputs/a", "node \"nowhere\", which is not in the graph"),
        ("/g/5/inputs/b", "{\"__value__\": […]}"),
        ("/g/5/inputs/c", "write [\"1\", …]"),
        ("/g/5/inputs/d", "a link [\"<node id>\", <output number>]"),
        ("/g/5/inputs/e~1f", "upload the file"),
        ("/g/5/inputs/g", "must be a link"),
        ("/g/5/inputs/h", "upload the file"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, (pointer, words)) in told.iter().zip(expected) {
        assert!(
            told.starts_with(&format!("{pointer} ")) && told.contains(words),
            "{told}"
        );
    }
}

#[test]
fn a_loop_is_named_in_the_order_of_its_links() {
    let graph = json!({
        "0": node(&json!({"x": ["b", 0]})),
        "a": node(&json!({"x": ["c", 0]})),
        "b": node(&json!({"x": ["a", 0], "y": ["1", 0]})),
        "c": node(&json!({"x": ["b", 0]})),
        "1": node(&json!({})),
    });
    assert_eq!(told(&graph), ["/g/c the links make a loop: c → a → b → c"]);
    let own = json!({"1": node(&json!({"x": ["1", 0]}))});
    assert_eq!(told(&own), ["/g/1 the links make a loop: 1 → 1"]);
}

fn chain(length: usize) -> Map<String, Value> {
    let link = |i: usize| {
        if i == 0 {
            node(&json!({}))
        } else {
            node(&json!({"x": [(i - 1).to_string(), 0], "y": [(i - 1).to_string(), 1]}))
        }
    };
    (0..length).map(|i| (i.to_string(), link(i))).collect()
}

#[test]
fn the_largest_graph_is_read_and_a_larger_one_is_not() {
    let mut longest = chain(MAX_NODES);
    assert_eq!(told(&Value::Object(longest.clone())), [""; 0]);
    longest["0"]["inputs"]["x"] = json!([(MAX_NODES - 1).to_string(), 0]);
    let looping = told(&Value::Object(longest));
    assert!(
        looping.len() == 1 && looping[0].contains("(5000 nodes)") && looping[0].len() < 200,
        "{looping:?}"
    );
    assert_eq!(
        told(&Value::Object(chain(10_000))),
        ["/g has 10000 nodes, at most 5000 are possible"]
    );
}

#[test]
fn nothing_grows_without_a_limit() {
    let broken: Map<String, Value> = (0..200).map(|i| (i.to_string(), json!(null))).collect();
    let all = told(&Value::Object(broken));
    assert_eq!((all.len(), all[50].as_str()), (51, "/g and 150 more faults"));

    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!({"a": deep});
    }
    assert!(told(&json!({"1": node(&json!({"x": deep}))}))[0].contains("32 deep"));
    let wide = json!({"__value__": vec![1; 30_000]});
    assert!(told(&json!({"1": node(&json!({"x": wide}))}))[0].contains("20000 values"));
    let long = json!({"1": {"class_type": "x".repeat(201), "inputs": {}}, "y".repeat(5_000): 1});
    assert!(told(&long).iter().all(|told| told.len() < 400));
    assert_eq!(told(&long).len(), 2);
    // what nests deeper than a reader of JSON goes is no JSON
    let abyss = format!("{{\"1\":{}", "[".repeat(100_000));
    assert!(parse(&abyss, "/g").is_err());
}

/// Any JSON, with what graphs are made of more often than chance would have it.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[1-5]|asset:.?|KSampler|LoraLoader|SaveImage|euler.{0,3}|.{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let key = "[1-5]|class_type|inputs|nodes|prompt|model|seed|sampler_name|__value__|.{0,3}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            ("[1-5]", 0_u64..3).prop_map(|(id, slot)| json!([id, slot])),
            prop::collection::btree_map(key, inner.clone(), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            (
                "KSampler|LoraLoader|SaveImage|Other",
                prop::collection::btree_map(key, inner, 0..4)
            )
                .prop_map(|(class, inputs)| json!({"class_type": class, "inputs": inputs})),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_looked_at_without_a_panic(graph in any_json()) {
        let faults = check(&graph, "");
        prop_assert!(faults.len() <= MAX_FAULTS + 1);
    }
}
