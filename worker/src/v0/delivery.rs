//! What came of a chat becomes a result: its files, single and in one archive, and where the site can be seen.

use std::collections::BTreeMap;

use bytes::Bytes;
use connectors::v0::{Chat, Files, Version};
use proto::{
    failure::FailureCode,
    lifecycle::Product,
    v1::{Artifact, Failure, Site},
};
use runtime::media;
use runtime::tasks::panic_message;
use tokio::{task::spawn_blocking, time::Instant};

use super::{V0, archive, pause, recipe, recipe::Told, refusals};
use crate::{
    report::Step,
    spool::Spool,
    work::{Outcome, Work},
};

/// A site with more files is delivered as the archive alone.
const MAX_SINGLE_FILES: usize = 50;
/// Of all that is text, so that no browser runs what a model wrote.
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";
const ARCHIVE: &str = "application/zip";

impl V0 {
    /// Fetches the latest files of a chat and stores them. `version` is the message that made them.
    pub(super) async fn deliver(&self, chat: &str, version: &str, told: Told<'_>, work: &Work) -> Outcome {
        let step = |phase, fraction, message: String| {
            work.reporter.step(Step {
                phase,
                fraction,
                message,
                ..Step::default()
            });
        };
        step("fetching", 0.85, "fetching the files".to_owned());
        let (made, files) = self.files(chat, work).await?;
        let site = Site {
            version: if made.is_empty() { version.to_owned() } else { made },
            ..self.site(chat, work).await?
        };
        let count = files.len();
        step("uploading", 0.92, format!("storing {count} files"));
        let outputs = store(chat, files, work).await?;
        let recipe = recipe::store(&told, &site, &outputs, work).await?;
        Ok(Product {
            outputs,
            recipe: Some(recipe),
            charge: told.charge,
            site: Some(site),
            ..Product::default()
        })
    }

    /// The files under harmless names, and v1's name of their version. Waits until there are any.
    pub(super) async fn files(
        &self,
        chat: &str,
        work: &Work,
    ) -> Result<(String, BTreeMap<String, Bytes>), Failure> {
        let began = Instant::now();
        loop {
            let failure = match self.client.files(chat).await {
                Ok(Files::Ready { version, files }) => return Ok((version, archive::named(files))),
                Ok(Files::NotYet) => FailureCode::V0Busy.failure(format!("chat {chat} has no files yet")),
                Err(error) => refusals::of(&error),
            };
            if !failure.retryable || began.elapsed() > self.settings.patience {
                return Err(failure);
            }
            work.reporter.phase("waiting", failure.message);
            pause(self.settings.poll, work).await?;
        }
    }

    /// Where the site can be seen. A site of which that is not known is a result too.
    async fn site(&self, chat: &str, work: &Work) -> Result<Site, Failure> {
        let found = match self.client.chat(chat).await {
            Ok(found) => found,
            Err(error) => {
                tracing::info!(job.id = %work.id, %error, "v0 did not tell about a chat");
                Chat::default()
            }
        };
        let demo_url = self.demo(chat, work).await?.unwrap_or_default();
        Ok(Site {
            chat: chat.to_owned(),
            version: String::new(),
            web_url: found.web_url,
            demo_url,
            title: found.title,
        })
    }

    /// The address of the demo, once there is one; the token that goes with it stays here.
    pub(super) async fn demo(&self, chat: &str, work: &Work) -> Result<Option<String>, Failure> {
        let began = Instant::now();
        loop {
            match self.client.preview(chat).await {
                Ok(Some(preview)) => return Ok(Some(preview.url)),
                Ok(None) => {}
                Err(error) => tracing::info!(job.id = %work.id, %error, "v0 told no demo"),
            }
            let waits = self.client.version() == Version::V2;
            if !waits || began.elapsed() > self.settings.preview_patience {
                return Ok(None);
            }
            work.reporter.phase("starting", "v0 starts the demo");
            pause(self.settings.poll, work).await?;
        }
    }
}

/// Stores the archive, and then each file where they are few.
async fn store(chat: &str, files: BTreeMap<String, Bytes>, work: &Work) -> Result<Vec<Artifact>, Failure> {
    let packed = spawn_blocking({
        let files = files.clone();
        move || archive::packed(&files)
    });
    let packed = match packed.await {
        Ok(Ok(packed)) => packed,
        Ok(Err(error)) => {
            let message = format!("the files cannot be packed: {error}");
            return Err(FailureCode::V0Garbled.failure(message));
        }
        Err(error) => {
            let message = format!("packing the files crashed: {}", panic_message(error));
            return Err(FailureCode::WorkerPanicked.failure(message));
        }
    };
    let max_bytes = work.uploads.max_bytes();
    let spool = Spool::of_bytes(packed, max_bytes).await?;
    let name = format!("v0-{chat}.zip");
    let mut outputs = vec![work.uploads.store(0, &name, ARCHIVE, &spool).await?];
    if files.len() > MAX_SINGLE_FILES {
        return Ok(outputs);
    }
    for (name, content) in files {
        let is_text = std::str::from_utf8(&content).is_ok();
        let spool = Spool::of_bytes(content, max_bytes).await?;
        let media_type = match spool.facts.media_type {
            media::UNKNOWN if is_text => PLAIN_TEXT,
            found => found,
        };
        let index = outputs.len() as u32;
        outputs.push(work.uploads.store(index, &name, media_type, &spool).await?);
    }
    Ok(outputs)
}
