//! Requests of any kind: none panics, and what is accepted makes sense.

use proptest::{collection, option, prelude::*};

use super::{RESULT, asset};
use crate::{
    v0::{Action, is_chat_id, plan},
    v1::{FileChange, V0Request},
};

fn any_request() -> BoxedStrategy<V0Request> {
    let word =
        |likely: &'static str| prop_oneof![2 => Just(String::new()), 2 => likely, 1 => ".{0,8}"].boxed();
    let image = prop_oneof![Just(asset()), Just(RESULT.to_owned()), ".{0,8}"];
    let path = prop_oneof!["[a-z]{1,4}(/[a-z]{1,4}){0,2}", "[a./\\\\:]{0,6}", ".{0,6}"];
    let change = (path, option::of(".{0,8}")).prop_map(|(path, content)| FileChange { path, content });
    let parts = (
        -1..7_i32,
        word("[a-z ]{1,12}"),
        word("[a-zA-Z0-9_-]{1,70}"),
        word("v0-(mini|pro|max|max-fast)"),
        word("[a-z]{1,6}"),
        collection::vec(image, 0..3),
        collection::vec(change, 0..3),
        word("private|public|team|team-edit|unlisted"),
    );
    parts
        .prop_map(
            |(action, prompt, chat, model, system, images, changes, privacy)| V0Request {
                action,
                prompt,
                chat,
                model,
                system,
                images,
                changes,
                privacy,
            },
        )
        .boxed()
}

proptest! {
    #[test]
    fn what_is_accepted_makes_sense(request in any_request()) {
        let mut request = request;
        match plan(&mut request) {
            Err(faults) => {
                prop_assert!(!faults.is_empty());
                prop_assert!(faults.iter().all(|fault| fault.pointer.starts_with("/v0/") && !fault.message.is_empty()));
            }
            Ok(plan) => {
                let action = request.action();
                let runs = matches!(action, Action::Create | Action::Continue);
                prop_assert_eq!(plan.price.is_some(), runs);
                prop_assert_eq!(plan.payload.get("message").is_some(), runs);
                prop_assert_eq!(plan.payload.get("files").is_some(), action == Action::Apply);
                prop_assert_eq!(request.chat.is_empty(), action == Action::Create);
                prop_assert!(request.chat.is_empty() || is_chat_id(&request.chat));
                prop_assert!(!plan.summary.trim().is_empty());
            }
        }
    }

    #[test]
    fn a_plan_is_the_same_the_second_time(request in any_request()) {
        let mut request = request;
        if let Ok(first) = plan(&mut request) {
            let filled = request.clone();
            prop_assert_eq!(plan(&mut request), Ok(first));
            prop_assert_eq!(request, filled);
        }
    }
}
