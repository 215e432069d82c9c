//! What can be asked, what is sent for it, and what it costs.

mod any;

use super::{check::fault_of_path, *};
use crate::{money::MicroDollars, v1::FileChange};

fn asset() -> String {
    format!("asset:{}", "1".repeat(64))
}

const RESULT: &str = "artifact:0198f3a2-0000-7000-8000-000000000001-1-0";

fn prompt(prompt: &str) -> V0Request {
    V0Request {
        prompt: prompt.to_owned(),
        ..V0Request::default()
    }
}

fn change(path: &str) -> FileChange {
    FileChange {
        path: path.to_owned(),
        content: Some("new".to_owned()),
    }
}

fn in_chat(request: V0Request) -> V0Request {
    V0Request {
        chat: "aB3_-x".to_owned(),
        ..request
    }
}

fn faults(mut request: V0Request) -> Vec<String> {
    let faults = plan(&mut request).expect_err("faulty").into_iter();
    faults
        .map(|fault| format!("{} {}", fault.pointer, fault.message))
        .collect()
}

fn planned(mut request: V0Request) -> (Action, Plan) {
    let plan = plan(&mut request).expect("good");
    (request.action(), plan)
}

#[test]
fn what_is_done_follows_from_what_is_given() {
    let changed = V0Request {
        changes: vec![change("app/page.tsx")],
        ..V0Request::default()
    };
    for (request, expected, summary) in [
        (prompt("a shop"), Action::Create, "a shop"),
        (in_chat(prompt("in red")), Action::Continue, "in red"),
        (in_chat(changed), Action::Apply, "1 changed files of chat aB3_-x"),
        (in_chat(prompt("")), Action::Import, "the files of chat aB3_-x"),
    ] {
        let (action, plan) = planned(request);
        assert_eq!((action, plan.summary.as_str()), (expected, summary));
    }
}

#[test]
fn what_is_sent_is_told() {
    let whole = V0Request {
        system: "be terse".to_owned(),
        model: "v0-mini".to_owned(),
        images: vec![asset(), RESULT.to_owned()],
        privacy: "team-edit".to_owned(),
        ..prompt("a shop")
    };
    let model = json!({"modelId": "v0-mini", "imageGenerations": false});
    let attachments = json!([{"url": asset()}, {"url": RESULT}]);
    assert_eq!(
        planned(whole.clone()).1.payload,
        json!({
            "message": "a shop", "systemPrompt": "be terse", "modelConfiguration": model,
            "attachments": attachments, "privacy": "team-edit",
        })
    );
    let said = in_chat(V0Request {
        privacy: String::new(),
        ..whole
    });
    assert_eq!(
        planned(said).1.payload,
        json!({
            "message": "a shop", "systemPrompt": "be terse", "modelConfiguration": model,
            "attachments": attachments,
        })
    );
    assert_eq!(
        planned(prompt("x")).1.payload,
        json!({"message": "x", "privacy": "private"})
    );
    let removed = FileChange {
        content: None,
        ..change("b.ts")
    };
    let applied = in_chat(V0Request {
        changes: vec![change("a.ts"), removed],
        ..V0Request::default()
    });
    assert_eq!(
        planned(applied).1.payload,
        json!({"files": [{"path": "a.ts", "content": "new"}, {"path": "b.ts", "content": null}]})
    );
    assert_eq!(planned(in_chat(prompt(""))).1.payload, Value::Null);
}

#[test]
fn only_a_model_costs_money() {
    let price = |request| planned(request).1.price;
    let mini = V0Request {
        model: "v0-mini".to_owned(),
        ..prompt("x")
    };
    let paid = price(mini).expect("a price");
    assert_eq!(
        (paid.amount, paid.model.as_str()),
        (MicroDollars(500_000), "v0-mini")
    );
    assert!(
        paid.basis.contains("estimate") && paid.basis.contains(prices_of()),
        "{}",
        paid.basis
    );
    let unnamed = price(in_chat(prompt("x"))).expect("a price");
    assert_eq!(unnamed.model, "v0-pro", "what v0 takes by itself");
    let applied = V0Request {
        changes: vec![change("a")],
        ..V0Request::default()
    };
    assert_eq!(price(in_chat(applied)), None);
    assert_eq!(price(in_chat(prompt(""))), None);
}

#[test]
fn every_model_has_a_price() {
    for model in models() {
        let request = V0Request {
            model: model.name.clone(),
            ..prompt("x")
        };
        let price = planned(request).1.price.expect("a price");
        assert!(price.amount > MicroDollars::ZERO && !model.title.is_empty());
    }
    let parts: Vec<usize> = prices_of().split('-').map(str::len).collect();
    assert_eq!(parts, [4, 2, 2], "a date: {}", prices_of());
}

#[test]
fn all_faults_are_told_at_once_with_their_places() {
    let wrong = V0Request {
        action: Action::Create.into(),
        prompt: " \n".to_owned(),
        chat: "a/b".to_owned(),
        model: "v0-por".to_owned(),
        privacy: "privat".to_owned(),
        images: vec!["http://example.com/a.png".to_owned(); 9],
        ..V0Request::default()
    };
    let told = faults(wrong);
    let starts: Vec<&str> = told
        .iter()
        .map(|fault| fault.split(' ').next().unwrap_or_default())
        .collect();
    assert_eq!(
        starts[..5],
        ["/v0/prompt", "/v0/chat", "/v0/chat", "/v0/model", "/v0/privacy"]
    );
    assert!(told[3].ends_with("did you mean `v0-pro`?"), "{}", told[3]);
    assert!(told[4].ends_with("did you mean `private`?"), "{}", told[4]);
    assert_eq!(told[5], "/v0/images 9 are given, at most 8 are possible");
    assert!(
        told[6].starts_with("/v0/images/0 must be `asset:<id>`"),
        "{}",
        told[6]
    );
    assert_eq!(told.len(), 15);
}

#[test]
fn what_has_no_effect_is_refused() {
    let everything = V0Request {
        chat: "c".to_owned(),
        model: "v0-pro".to_owned(),
        system: "s".to_owned(),
        images: vec![asset()],
        privacy: "public".to_owned(),
        ..prompt("x")
    };
    let of = |action: Action| {
        let request = V0Request {
            action: action.into(),
            ..everything.clone()
        };
        let told = faults(request);
        told.iter()
            .map(|fault| fault.split(' ').next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(Action::Create), ["/v0/chat"]);
    assert_eq!(of(Action::Continue), ["/v0/privacy"]);
    assert_eq!(
        of(Action::Apply),
        [
            "/v0/changes",
            "/v0/prompt",
            "/v0/model",
            "/v0/system",
            "/v0/images",
            "/v0/privacy"
        ]
    );
    assert_eq!(
        of(Action::Import),
        [
            "/v0/prompt",
            "/v0/model",
            "/v0/system",
            "/v0/images",
            "/v0/privacy"
        ]
    );
    let unknown = V0Request {
        action: 99,
        ..prompt("x")
    };
    assert_eq!(
        faults(unknown),
        ["/v0/action must be `create`, `continue`, `apply` or `import`"]
    );
}

#[test]
fn paths_stay_within_the_site() {
    let long = "x".repeat(201);
    for bad in [
        "",
        "/etc/passwd",
        "../x",
        "a/../x",
        "a/..",
        "./a",
        "a//b",
        "a/",
        "a\\b",
        "C:/x",
        "c:x",
        "a\0b",
        "a\nb",
        &long,
    ] {
        assert!(fault_of_path(bad).is_some(), "{bad:?}");
        let request = in_chat(V0Request {
            changes: vec![change(bad)],
            ..V0Request::default()
        });
        assert!(faults(request)[0].starts_with("/v0/changes/0/path "), "{bad:?}");
    }
    for good in [
        "app/page.tsx",
        "a",
        ".env.example",
        "app/[id]/page.tsx",
        "größe.txt",
        "..a/b..",
    ] {
        assert_eq!(fault_of_path(good), None, "{good}");
    }
}

#[test]
fn changes_have_limits() {
    let of = |changes: Vec<FileChange>| {
        faults(in_chat(V0Request {
            changes,
            ..V0Request::default()
        }))
    };
    assert_eq!(
        of(vec![change("a"), change("a")]),
        ["/v0/changes/1/path is changed twice; give each file once"]
    );
    let many = (0..=100).map(|number| change(&number.to_string())).collect();
    assert_eq!(of(many), ["/v0/changes 101 are given, at most 100 are possible"]);
    let large = FileChange {
        content: Some("x".repeat(512 * 1024 + 1)),
        ..change("a")
    };
    let told = of(vec![large]);
    assert_eq!(
        told,
        ["/v0/changes/0/content has 524289 bytes, at most 524288 are possible"]
    );
}
