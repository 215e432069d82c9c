//! What can be seen at the wrong moment, and what tells nothing.

use connectors::comfyui::double::DoubleOptions;
use connectors::comfyui::{Error, Event, FileRef, Folder, Outcome, Standing};
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Bench, next, sampler, soon, succeeded};

#[tokio::test]
async fn a_prompt_that_says_it_has_succeeded_may_not_be_in_the_history_yet() {
    for jobs_api in [true, false] {
        let bench = Bench::new(DoubleOptions {
            jobs_api,
            ..DoubleOptions::default()
        })
        .await;
        let mut events = bench.connect().await;
        bench.double.hold_endings();
        let id = bench.post(&sampler(1, 1)).await;
        while !matches!(next(&mut events).await, Ok(Event::ExecutionSuccess { .. })) {}
        assert_eq!(bench.client.history(id).await.expect("an answer"), None);
        let standing = bench.client.standing(id).await.expect("a standing");
        assert_eq!(standing, Standing::Running, "it has not been lost");
        bench.double.release_endings();
        succeeded(bench.ends(id).await);
    }
}

#[tokio::test]
async fn the_queue_is_read_before_the_history() {
    let bench = Bench::new(DoubleOptions::default()).await;
    bench.client.standing(Uuid::new_v4()).await.expect("a standing");
    let requests = bench.double.requests();
    let place = |start: &str| requests.iter().position(|request| request.starts_with(start));
    let (queue, history) = (place("GET /queue"), place("GET /history"));
    assert!(queue.is_some() && queue < history, "{requests:?}");
}

#[tokio::test]
async fn the_outcome_is_found_although_the_socket_says_nothing() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let _silent = bench.connect().await;
    bench.double.mute_sockets();
    bench.double.fail_next("KSampler", "ValueError", "no");
    let failing = bench.post(&sampler(1, 2)).await;
    assert!(matches!(bench.ends(failing).await, Outcome::Failed(_)));
    let id = bench.post(&sampler(2, 2)).await;
    succeeded(bench.ends(id).await);
}

#[tokio::test]
async fn only_the_message_tells_an_interruption_from_an_error() {
    let bench = Bench::new(DoubleOptions::default()).await;
    bench.double.hold();
    let id = bench.post(&sampler(1, 4)).await;
    bench.runs(id).await;
    bench.client.interrupt(id).await.expect("interrupted");
    assert!(matches!(bench.ends(id).await, Outcome::Interrupted(_)));
    let entry = bench
        .client
        .history(id)
        .await
        .expect("an answer")
        .expect("an entry");
    assert_eq!(entry["status"]["status_str"], "error", "as an error has it");
    bench.double.run_freely();
    bench.double.fail_next("KSampler", "ValueError", "no");
    let id = bench.post(&sampler(2, 4)).await;
    assert!(matches!(bench.ends(id).await, Outcome::Failed(_)));
}

#[tokio::test]
async fn a_prompt_removed_while_it_waits_leaves_no_trace() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let mut events = bench.connect().await;
    bench.double.hold();
    let first = bench.post(&sampler(1, 1)).await;
    bench.runs(first).await;
    let gone = bench.post(&sampler(2, 1)).await;
    bench.client.remove_pending(gone).await.expect("removed");
    assert_eq!(
        bench.client.standing(gone).await.expect("a standing"),
        Standing::Unknown
    );
    bench.double.run_freely();
    succeeded(bench.ends(first).await);
    bench.double.cut_sockets();
    while let Ok(event) = next(&mut events).await {
        assert!(!format!("{event:?}").contains(&gone.to_string()), "{event:?}");
    }
    assert_eq!(bench.double.executed().len(), 1);
}

#[tokio::test]
async fn a_deleted_output_is_not_found_though_a_cached_run_names_it() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let id = bench.post(&sampler(1, 1)).await;
    let old = succeeded(bench.ends(id).await);
    bench.double.delete_output(&old[0].file.filename);
    let again = bench.post(&sampler(1, 1)).await;
    assert_eq!(succeeded(bench.ends(again).await), old);
    assert!(bench.double.executed()[1].nodes.is_empty(), "nothing ran");
    let error = bench.client.view(&old[0].file, None).await.expect_err("no file");
    assert!(matches!(error, Error::Status { status: 404, .. }), "{error:?}");
}

#[tokio::test]
async fn an_interrupt_of_another_prompt_does_nothing() {
    let bench = Bench::new(DoubleOptions::default()).await;
    bench.double.hold();
    let id = bench.post(&sampler(1, 2)).await;
    bench.runs(id).await;
    bench.client.interrupt(Uuid::new_v4()).await.expect("an answer");
    bench.double.run_freely();
    succeeded(bench.ends(id).await);
    let next = bench.post(&sampler(2, 2)).await;
    soon(async { succeeded(bench.ends(next).await) }).await;
}

#[tokio::test]
async fn a_mask_goes_into_a_copy_of_its_picture() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let id = bench.post(&sampler(1, 1)).await;
    let original = succeeded(bench.ends(id).await)[0].file.clone();
    let mask = masking(96, 64);
    let upload = connectors::comfyui::Upload::new("masked.png", mask.clone().into());
    let masked = bench
        .client
        .upload_mask(upload, &original)
        .await
        .expect("uploaded");
    assert_eq!(masked.reference(), "masked.png");
    let download = bench.client.view(&masked.file, None).await.expect("a download");
    let picture = download.bytes().await.expect("a picture");
    assert_eq!(&picture[16..24], [0, 0, 0, 96, 0, 0, 0, 64]);
    let pixels = image::load_from_memory(&picture).expect("pixels").into_rgba8();
    assert_eq!(pixels.get_pixel(7, 7).0[3], 128, "the mask's alpha");
    assert_ne!(pixels.get_pixel(7, 7).0[..3], [9, 9, 9], "the picture's colour");
    let graph = json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": masked.reference()}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    });
    let id = bench.post(&graph).await;
    let shown = succeeded(bench.ends(id).await);
    assert_eq!(shown[0].file.folder, Folder::Temp);
    let nowhere = FileRef {
        filename: "nowhere.png".to_owned(),
        subfolder: String::new(),
        folder: Folder::Output,
    };
    let upload = connectors::comfyui::Upload::new("m.png", mask.into());
    let uploaded = bench
        .client
        .upload_mask(upload, &nowhere)
        .await
        .expect("an answer");
    let error = bench
        .client
        .view(&uploaded.file, None)
        .await
        .expect_err("nothing was kept");
    assert!(matches!(error, Error::Status { status: 404, .. }), "{error:?}");
}

/// A PNG with an alpha channel.
fn masking(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgba);
    let mut writer = encoder.write_header().expect("a header");
    writer
        .write_image_data(&[9, 9, 9, 128].repeat((width * height) as usize))
        .expect("pixels");
    writer.finish().expect("an end");
    file
}
