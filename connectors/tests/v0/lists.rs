//! Lists of chats and messages, and what becomes of chats.

use connectors::v0::Message;

use crate::bench::{BOTH, Bench, prompt, refused};

#[tokio::test]
async fn chats_are_listed_page_by_page_newest_first() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let mut made = Vec::new();
        for number in 0..5 {
            made.push(bench.create(&number.to_string()).await.chat);
        }
        made.reverse();
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = bench
                .client
                .chats(2, cursor.as_deref(), &[])
                .await
                .expect("a page");
            seen.extend(page.items.into_iter().map(|chat| chat.id));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, made, "{version}");
    }
}

#[tokio::test]
async fn a_chat_is_found_by_its_metadata() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        bench.create("one").await;
        let wanted = bench.create("two & more").await;
        bench.create("four").await;
        // one that the server has to find, as it is not on the first page of all
        let find = async |job: &str| {
            let page = bench.client.chats(1, None, &[("orchestrator-job", job)]).await;
            let found = page.expect("a page").items;
            found.into_iter().map(|chat| chat.id).collect::<Vec<_>>()
        };
        assert_eq!(find("two & more").await, [wanted.chat], "{version}");
        assert!(find("three").await.is_empty(), "{version}");
    }
}

#[tokio::test]
async fn messages_are_listed_page_by_page() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let begun = bench.made("a shop").await;
        let second = bench
            .client
            .send(&begun.chat, &prompt("in red"))
            .await
            .expect("an answer");
        bench.ended(&second).await;
        let (mut seen, mut cursor) = (Vec::<Message>::new(), None);
        loop {
            let page = bench
                .client
                .messages(&begun.chat, 3, cursor.as_deref())
                .await
                .expect("a page");
            seen.extend(page.items);
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        let answers: Vec<bool> = seen.iter().map(|message| message.is_answer).collect();
        assert_eq!(answers, [true, false, true, false], "{version}");
        assert_eq!(seen[1].content, "in red", "{version}");
    }
}

#[tokio::test]
async fn a_chat_that_was_removed_is_unknown() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let begun = bench.made("a shop").await;
        assert_eq!(
            bench.client.chat(&begun.chat).await.expect("a chat").title,
            "a shop"
        );
        bench.client.delete(&begun.chat).await.expect("removed");
        let gone = bench.client.chat(&begun.chat).await;
        assert_eq!(refused(gone), (404, "Chat not found".to_owned()), "{version}");
        let again = bench.client.delete(&begun.chat).await;
        assert_eq!(refused(again).0, 404, "{version}");
    }
}
