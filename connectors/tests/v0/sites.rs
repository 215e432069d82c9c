//! Files, previews and zips of sites.

use connectors::v0::double::{Double, DoubleOptions};
use connectors::v0::{Client, Edit, Files, Version};

use crate::bench::{BOTH, Bench, limited, refused};

async fn files(client: &Client, chat: &str) -> Option<Vec<(String, Vec<u8>)>> {
    match client.files(chat).await.expect("an answer") {
        Files::Ready { files, .. } => Some(
            files
                .into_iter()
                .map(|file| (file.path, file.content.to_vec()))
                .collect(),
        ),
        Files::NotYet => None,
    }
}

fn names(files: &[(String, Vec<u8>)]) -> Vec<&str> {
    files.iter().map(|(path, _)| path.as_str()).collect()
}

#[tokio::test]
async fn the_files_come_when_the_run_is_over() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let begun = bench.create("größer 🎨").await;
        assert_eq!(files(&bench.client, &begun.chat).await, None, "{version}");
        bench.ended(&begun).await;
        let made = files(&bench.client, &begun.chat).await.expect("files");
        match version {
            Version::V1 => assert_eq!(names(&made), ["app/layout.tsx", "app/page.tsx"]),
            Version::V2 => {
                assert_eq!(
                    names(&made),
                    ["app/layout.tsx", "app/page.tsx", "public/logo.png"]
                );
                assert!(made[2].1.starts_with(b"\x89PNG\r\n"), "what is no text is whole");
            }
        }
        let page = String::from_utf8(made[1].1.clone()).expect("text");
        assert!(page.contains("größer 🎨"), "{page}");
    }
}

#[tokio::test]
async fn files_are_written_and_removed() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let begun = bench.made("a shop").await;
        let edits = [
            Edit {
                path: "app/page.tsx".to_owned(),
                content: Some("new".to_owned()),
            },
            Edit {
                path: "app/layout.tsx".to_owned(),
                content: None,
            },
        ];
        if version == Version::V2 {
            let early = bench.client.apply(&begun.chat, &edits).await;
            assert_eq!(refused(early), (409, "The preview is not running".to_owned()));
            while bench
                .client
                .preview(&begun.chat)
                .await
                .expect("an answer")
                .is_none()
            {}
        }
        let made = bench.client.apply(&begun.chat, &edits).await.expect("applied");
        assert!(made.is_some_and(|id| !id.is_empty()), "{version}");
        let now = files(&bench.client, &begun.chat).await.expect("files");
        assert!(!names(&now).contains(&"app/layout.tsx"), "{version}");
        assert!(
            now.contains(&("app/page.tsx".to_owned(), b"new".to_vec())),
            "{version}"
        );
        assert_eq!(
            bench.double.bill().len(),
            1,
            "{version}: nothing was charged for it"
        );
        let gone = bench.client.apply(&begun.chat, &edits[1..]).await;
        let (status, words) = refused(gone);
        assert_eq!(status, 422);
        if version == Version::V2 {
            assert_eq!(
                words,
                "Invalid file contents; app/layout.tsx: File does not exist"
            );
        }
    }
}

#[tokio::test]
async fn a_preview_comes_after_a_while_and_its_token_is_not_shown() {
    for version in BOTH {
        let options = DoubleOptions {
            preview_pending: 2,
            ..DoubleOptions::default()
        };
        let bench = Bench::with(version, options).await;
        let begun = bench.made("a shop").await;
        let mut asked = 0;
        let preview = loop {
            asked += 1;
            if let Some(preview) = bench.client.preview(&begun.chat).await.expect("an answer") {
                break preview;
            }
        };
        assert_eq!(asked, if version == Version::V2 { 3 } else { 1 });
        assert!(preview.url.contains("vusercontent.net"), "{}", preview.url);
        assert_eq!(preview.token.is_some(), version == Version::V2);
        assert!(!format!("{preview:?}").contains("preview-secret"), "{preview:?}");
    }
}

#[tokio::test]
async fn a_zip_comes_as_v0_packs_it() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let begun = bench.create("a shop").await;
        assert_eq!(
            bench.client.download(&begun.chat).await.expect("an answer"),
            None,
            "{version}"
        );
        bench.ended(&begun).await;
        let zip = bench
            .client
            .download(&begun.chat)
            .await
            .expect("an answer")
            .expect("a zip");
        let has = |name: &str| zip.windows(name.len()).any(|window| window == name.as_bytes());
        assert!(has("app/page.tsx") && has("PK\x05\x06"), "{version}");
    }
}

#[tokio::test]
async fn a_site_may_be_large_but_not_without_end() {
    for version in BOTH {
        let double = Double::start(DoubleOptions::default()).await.expect("a double");
        let client = limited(&double, version, "v0-test-key", |options| {
            options.max_files = 4096;
        });
        let begun = client.create(&crate::bench::chat("x")).await.expect("a chat");
        let bench = Bench { double, client };
        bench.ended(&begun).await;
        assert!(files(&bench.client, &begun.chat).await.is_some());
        bench.double.set_files(&begun.chat, &[("big.txt", &[b'x'; 8192])]);
        let error = bench.client.files(&begun.chat).await.expect_err("too much");
        assert!(
            error.to_string().contains("limit of 4096 bytes"),
            "{version}: {error}"
        );
    }
}
