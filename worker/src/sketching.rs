//! The `sketch` backend: draws by algorithm, is no AI model; misbehaves on request where that is allowed.

use std::time::Duration;

use bytes::Bytes;
use proto::{
    Backend as Kind,
    failure::FailureCode,
    ids::InputId,
    subjects,
    v1::{BackendOffer, Failure, Rehearsal, SketchRequest, job_request::Body, rehearsal::Act},
};
use runtime::tasks::panic_message;
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use crate::{
    backend::stopped,
    report::Step,
    settings::SketchSettings,
    sketch::{Canvas, GENERATOR_VERSION, PREVIEW_MEDIA_TYPE, Recipe, SketchError, palette_of},
    spool::Spool,
    work::{Outcome, Product, Work},
};

/// Longer side of a preview, in pixels.
const PREVIEW_SIDE: u32 = 256;
const PREVIEW_EVERY: Duration = Duration::from_millis(400);

/// The built-in backend.
#[derive(Debug)]
pub struct Sketching {
    settings: SketchSettings,
}

impl Sketching {
    /// A backend with these settings.
    pub const fn new(settings: SketchSettings) -> Self {
        Self { settings }
    }

    /// How many sketches are drawn at the same time.
    pub const fn slots(&self) -> usize {
        self.settings.slots
    }

    /// What it can do.
    pub fn offer(&self) -> BackendOffer {
        BackendOffer {
            backend: Kind::Sketch.into(),
            slots: u32::try_from(self.settings.slots).unwrap_or(u32::MAX),
            lanes: vec![subjects::ANY_LANE.to_owned()],
            healthy: true,
            software: format!("sketch {GENERATOR_VERSION} (an algorithm, no AI model)"),
            ..BackendOffer::default()
        }
    }

    /// Draws one sketch.
    ///
    /// # Errors
    /// Why the attempt failed.
    pub async fn run(&self, work: Work) -> Outcome {
        let Some(Body::Sketch(request)) = work.request.body.clone() else {
            return Err(FailureCode::WorkerRefused.failure("the job is not for the sketch backend"));
        };
        let rehearsal = self.rehearsal(&request, work.attempt)?;
        if rehearsal.act() == Act::Noop {
            return Ok(Product::default());
        }
        misbehave(rehearsal.act(), &work).await?;
        let recipe = recipe(&request, &work).await?;
        let pause = match rehearsal.act() {
            Act::Slow => Duration::from_millis(u64::from(rehearsal.step_milliseconds)),
            Act::None | Act::Fail | Act::Stall | Act::Panic | Act::Noop | Act::Deaf => Duration::ZERO,
        };
        let picture = draw(recipe, pause, &work).await?;
        work.reporter.step(Step {
            phase: "uploading",
            fraction: 0.97,
            message: "storing".into(),
            ..Step::default()
        });
        let spool = Spool::of_bytes(picture, work.uploads.max_bytes()).await?;
        let name = format!("sketch-{}.png", work.id);
        Ok(vec![work.uploads.store(0, &name, "image/png", &spool).await?].into())
    }

    fn rehearsal(&self, request: &SketchRequest, attempt: u32) -> Result<Rehearsal, Failure> {
        match request.rehearsal {
            None => Ok(Rehearsal::default()),
            Some(rehearsal) if rehearsal.act() == Act::None => Ok(rehearsal),
            Some(_) if !self.settings.rehearsals => {
                Err(FailureCode::SketchRehearsalRefused.failure("this worker does not take rehearsals"))
            }
            Some(rehearsal) if rehearsal.until_attempt > 0 && attempt > rehearsal.until_attempt => {
                Ok(Rehearsal::default())
            }
            Some(rehearsal) => Ok(rehearsal),
        }
    }
}

async fn misbehave(act: Act, work: &Work) -> Result<(), Failure> {
    match act {
        Act::None | Act::Slow | Act::Noop => Ok(()),
        Act::Fail => {
            let message = format!("attempt {} fails as the request wants it", work.attempt);
            Err(FailureCode::SketchRehearsedFailure.failure(message))
        }
        Act::Stall => {
            work.cancel.cancelled().await;
            Err(stopped())
        }
        Act::Panic => panic!("attempt {} panics as the request wants it", work.attempt),
        Act::Deaf => loop {
            work.reporter
                .phase("drawing", "does not listen, as the request wants it");
            sleep(Duration::from_millis(200)).await;
        },
    }
}

async fn recipe(request: &SketchRequest, work: &Work) -> Result<Recipe, Failure> {
    let palette_from = match InputId::from_reference(&request.palette) {
        None => None,
        Some(Err(error)) => return Err(FailureCode::InputMissing.failure(error.to_string())),
        Some(Ok(input)) => {
            work.reporter.phase("loading", "fetching the palette");
            let picture = work.uploads.read_input(&input).await?;
            let colours = blocking(move || palette_of(&picture)).await?;
            Some(colours.map_err(|error| {
                FailureCode::InputMissing.failure(format!("the palette cannot be read: {error}"))
            })?)
        }
    };
    Ok(Recipe {
        prompt: request.prompt.clone(),
        seed: request.seed.unwrap_or_default(),
        width: request.width,
        height: request.height,
        steps: request.steps,
        palette_from,
    })
}

async fn draw(recipe: Recipe, pause: Duration, work: &Work) -> Result<Bytes, Failure> {
    let began = Instant::now();
    let mut previewed = Instant::now();
    let mut paused_for = 0;
    let mut canvas = blocking(move || Canvas::new(&recipe))
        .await?
        .map_err(|error| impossible(&error))?;
    while !canvas.is_done() {
        let (drawn, step) = blocking(move || {
            let step = canvas.step();
            (canvas, step)
        })
        .await?;
        canvas = drawn;
        let fraction = f64::from(step.fraction);
        work.reporter.step(Step {
            phase: "drawing",
            fraction: fraction * 0.95,
            step: step.step,
            steps: step.of,
            message: step.label.to_owned(),
            eta_seconds: (fraction > 0.0)
                .then(|| began.elapsed().as_secs_f64() * (1.0 - fraction) / fraction),
        });
        if previewed.elapsed() > PREVIEW_EVERY {
            previewed = Instant::now();
            let (drawn, preview) = blocking(move || {
                let preview = canvas.preview(PREVIEW_SIDE);
                (canvas, preview)
            })
            .await?;
            canvas = drawn;
            if let Ok(preview) = preview {
                work.reporter.glimpse(PREVIEW_MEDIA_TYPE, preview.into());
            }
        }
        if step.step > paused_for {
            paused_for = step.step;
            pause_or_stop(pause, work).await?;
        }
    }
    work.reporter.step(Step {
        phase: "saving",
        fraction: 0.95,
        message: "encoding".into(),
        ..Step::default()
    });
    let encoded = blocking(move || {
        let mut file = Vec::new();
        canvas.finish(&mut file).map(|()| file)
    });
    encoded
        .await?
        .map(Bytes::from)
        .map_err(|error| impossible(&error))
}

async fn pause_or_stop(pause: Duration, work: &Work) -> Result<(), Failure> {
    if !pause.is_zero() {
        tokio::select! {
            biased;
            () = work.cancel.cancelled() => {}
            () = sleep(pause) => {}
        }
    }
    if work.cancel.is_cancelled() {
        Err(stopped())
    } else {
        Ok(())
    }
}

/// Drawing keeps a core busy, so it runs beside the tasks that answer the broker.
async fn blocking<T: Send + 'static>(draw: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    match spawn_blocking(draw).await {
        Ok(drawn) => Ok(drawn),
        Err(error) => {
            let message = format!("the drawing crashed: {}", panic_message(error));
            Err(FailureCode::WorkerPanicked.failure(message))
        }
    }
}

fn impossible(error: &SketchError) -> Failure {
    FailureCode::SketchImpossible.failure(error.to_string())
}
