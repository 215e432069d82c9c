//! Saying something: what is sent, sent once, and found again where nobody knows whether it arrived.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use connectors::v0::{Begun, Client, Delivery, Error, NewChat, Prompt};
use proto::{
    failure::FailureCode,
    ids::{InputId, JobId},
    ledger::Limit,
    v0::{self, Action},
    v1::{Failure, Upstream, V0Request},
};
use runtime::{media, telemetry::chain};
use tokio::time::{Instant, sleep};

use super::{Place, V0, recorded, refusals};
use crate::{
    backend::stopped,
    paid::{Answer, Payment, Terms},
    report::Reporter,
    work::Work,
};

/// Under which name a new chat keeps the id of its job.
pub(super) const JOB: &str = "orchestrator-job";
/// The most that pictures may have together, in bytes.
const MAX_IMAGE_BYTES: usize = 16 * 1024 * 1024;
const FIRST_LOOK: Duration = Duration::from_millis(500);
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// What is sent.
#[derive(Debug, Clone)]
enum Saying {
    New(NewChat),
    In(String, Prompt),
}

impl V0 {
    /// Sends the message: once.
    pub(super) async fn submit(
        &self,
        request: &V0Request,
        payment: &Payment,
        work: &Work,
    ) -> Result<Upstream, Failure> {
        let saying = saying(request, images(request, work).await?, work.id);
        // an earlier attempt may have been refused by a v0 that had made the chat all the same
        if matches!(saying, Saying::New(_))
            && work.upstream.is_some()
            && let Some(upstream) = find(&self.client, work.id)
                .await
                .map_err(|error| refusals::of(&error))?
        {
            payment.adopt(upstream.clone()).await?;
            return Ok(upstream);
        }
        let terms = Terms {
            account: &self.settings.account,
            limits: vec![Limit {
                models: Vec::new(),
                calls: self.settings.max_runs,
            }],
            patience: self.settings.patience,
            reporter: &work.reporter,
            cancel: &work.cancel,
        };
        let intent = || recorded(None, &self.client.origin());
        let call = || {
            let (client, saying) = (self.client.clone(), saying.clone());
            say(client, saying, self.search(work))
        };
        let submitted = payment.submit(&terms, intent, call).await;
        if let Err(failure) = &submitted
            && refusals::is_final(failure)
        {
            payment.release(&failure.message).await?;
        }
        submitted
    }

    /// Looks for the chat of a job for a while: v0 may not list at once what it has just made.
    pub(super) async fn find_patiently(&self, work: &Work) -> Result<Option<Upstream>, Failure> {
        let found = tokio::select! {
            biased;
            () = work.cancel.cancelled() => return Err(stopped()),
            found = self.search(work).run() => found,
        };
        // where v0 cannot be asked now, another attempt may be told more
        found.map_err(|error| refusals::of(&error))
    }

    fn search(&self, work: &Work) -> Search {
        Search {
            client: self.client.clone(),
            job: work.id,
            reporter: work.reporter.clone(),
            lost_after: self.settings.lost_after,
            patience: self.settings.patience,
        }
    }
}

/// A search for the chat of a job of which nobody knows whether it was made.
struct Search {
    client: Client,
    job: JobId,
    reporter: Reporter,
    /// How long v0 may say that there is none.
    lost_after: Duration,
    /// How long v0 may say nothing.
    patience: Duration,
}

impl Search {
    /// Asks again and again; the error is that of the last time.
    async fn run(self) -> Result<Option<Upstream>, Error> {
        let began = Instant::now();
        let mut answered = None;
        let mut wait = FIRST_LOOK;
        loop {
            self.reporter.alive();
            let found = find(&self.client, self.job).await;
            let is_over = match &found {
                Ok(Some(_)) => true,
                Ok(None) => answered.get_or_insert_with(Instant::now).elapsed() + wait > self.lost_after,
                Err(_) => began.elapsed() + wait > self.patience,
            };
            if is_over {
                return found;
            }
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_LOOK);
        }
    }
}

/// Sends the message. Where that is unclear, a new chat is looked for.
async fn say(client: Client, saying: Saying, search: Search) -> Answer {
    let sent = match &saying {
        Saying::New(chat) => client.create(chat).await,
        Saying::In(chat, prompt) => client.send(chat, prompt).await,
    };
    let error = match sent {
        Ok(begun) => return Answer::Taken(recorded(Some(&begun.into()), &client.origin())),
        Err(error) => error,
    };
    match error.delivery() {
        Delivery::NotSent => Answer::Refused {
            failure: refusals::of(&error),
            after: None,
        },
        Delivery::Refused => Answer::Refused {
            failure: match &saying {
                Saying::New(_) => refusals::of_creation(&error),
                Saying::In(..) => refusals::of(&error),
            },
            after: error.refusal().and_then(|refusal| refusal.retry_after),
        },
        Delivery::Unclear => {
            let found = match saying {
                Saying::New(_) => search.run().await.ok().flatten(),
                Saying::In(..) => None,
            };
            found.map_or_else(|| Answer::Unclear(chain(&error)), Answer::Taken)
        }
    }
}

/// The chat that carries the id of the job.
async fn find(client: &Client, job: JobId) -> Result<Option<Upstream>, Error> {
    let job = job.to_string();
    let found = client.chats(2, None, &[(JOB, job.as_str())]).await?;
    let place = found.items.into_iter().next().map(|chat| Place {
        chat: chat.id,
        message: None,
    });
    Ok(place.map(|place| recorded(Some(&place), &client.origin())))
}

impl From<Begun> for Place {
    fn from(begun: Begun) -> Self {
        Self {
            chat: begun.chat,
            message: begun.message,
        }
    }
}

fn saying(request: &V0Request, images: Vec<String>, job: JobId) -> Saying {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let prompt = Prompt {
        message: request.prompt.clone(),
        system: given(&request.system),
        model: given(&request.model),
        attachments: images,
    };
    if request.action() == Action::Continue {
        return Saying::In(request.chat.clone(), prompt);
    }
    Saying::New(NewChat {
        prompt,
        privacy: Some(v0::privacy(request).to_owned()),
        metadata: BTreeMap::from([(JOB.to_owned(), job.to_string())]),
    })
}

/// The pictures as addresses that have the pictures themselves in them.
async fn images(request: &V0Request, work: &Work) -> Result<Vec<String>, Failure> {
    let (mut made, mut bytes) = (Vec::new(), 0);
    for (number, image) in request.images.iter().enumerate() {
        let pointed = |failure: Failure| Failure {
            pointer: format!("/v0/images/{number}"),
            ..failure
        };
        let id: InputId = match image.parse() {
            Ok(id) => id,
            Err(error) => return Err(pointed(FailureCode::InputMissing.failure(format!("{error}")))),
        };
        work.reporter.phase("loading", format!("fetching {image}"));
        let content = work.uploads.read_input(&id).await.map_err(pointed)?;
        let media_type = media::of_content(&content).filter(|found| found.starts_with("image/"));
        let Some(media_type) = media_type else {
            let message = format!("{image} is no picture");
            return Err(pointed(FailureCode::V0RequestRefused.failure(message)));
        };
        bytes += content.len();
        if bytes > MAX_IMAGE_BYTES {
            let message = format!("the pictures have more than {MAX_IMAGE_BYTES} bytes together");
            return Err(pointed(FailureCode::V0TooLarge.failure(message)));
        }
        made.push(format!(
            "data:{media_type};base64,{}",
            BASE64_STANDARD.encode(content)
        ));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use connectors::v0::Version;
    use proto::v0::plan;
    use serde_json::{Value, json};

    use super::*;

    /// What was told beforehand is what is sent, beside the name of the job.
    #[test]
    fn what_is_sent_is_what_was_told() {
        let asset = format!("asset:{}", "1".repeat(64));
        let whole = V0Request {
            prompt: "a shop".to_owned(),
            system: "be terse".to_owned(),
            model: "v0-max".to_owned(),
            images: vec![asset.clone()],
            privacy: "unlisted".to_owned(),
            ..V0Request::default()
        };
        let bare = V0Request {
            prompt: "a shop".to_owned(),
            ..V0Request::default()
        };
        let job = JobId::generate();
        for mut request in [whole.clone(), bare.clone()] {
            let told = plan(&mut request).expect("good").payload;
            let Saying::New(chat) = saying(&request, request.images.clone(), job) else {
                panic!("a new chat");
            };
            let mut sent = chat.payload(Version::V2);
            let named = sent.as_object_mut().and_then(|sent| sent.remove("metadata"));
            assert_eq!(named, Some(json!({"orchestrator-job": job.to_string()})));
            assert_eq!(sent, told);
        }
        for mut request in [whole, bare] {
            (request.chat, request.privacy) = ("c1".to_owned(), String::new());
            let told: Value = plan(&mut request).expect("good").payload;
            let Saying::In(chat, prompt) = saying(&request, request.images.clone(), job) else {
                panic!("an old chat");
            };
            assert_eq!((chat.as_str(), prompt.payload(Version::V2)), ("c1", told));
        }
    }
}
