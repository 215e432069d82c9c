//! The backends: a closed list. What each offers, and how a job is run on it.

use std::sync::Arc;

use proto::{
    Backend as Kind,
    v1::{BackendOffer, Failure},
};

use runtime::tasks::Stop;

use crate::{
    comfyui::Comfyui,
    flux::Flux,
    sketching::Sketching,
    v0::V0,
    work::{Outcome, Work},
};

/// A backend that is configured on this worker.
#[derive(Debug)]
pub enum Backend {
    /// The built-in one.
    Sketch(Sketching),
    /// A ComfyUI on this host.
    Comfyui(Arc<Comfyui>),
    /// Black Forest Labs' service.
    Flux(Box<Flux>),
    /// Vercel's v0.
    V0(Box<V0>),
}

impl Backend {
    /// Which one it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Sketch(_) => Kind::Sketch,
            Self::Comfyui(_) => Kind::Comfyui,
            Self::Flux(_) => Kind::Flux,
            Self::V0(_) => Kind::V0,
        }
    }

    /// How many jobs it runs at the same time.
    pub fn slots(&self) -> usize {
        match self {
            Self::Sketch(sketch) => sketch.slots(),
            Self::Comfyui(comfyui) => comfyui.slots(),
            Self::Flux(flux) => flux.slots(),
            Self::V0(v0) => v0.slots(),
        }
    }

    /// What it can do now, for announcements; `busy` is filled in by the caller.
    pub fn offer(&self) -> BackendOffer {
        match self {
            Self::Sketch(sketch) => sketch.offer(),
            Self::Comfyui(comfyui) => comfyui.offer(),
            Self::Flux(flux) => flux.offer(),
            Self::V0(v0) => v0.offer(),
        }
    }

    /// Keeps what [`Backend::offer`] says up to date; does not end.
    pub async fn keep_offer(&self) {
        match self {
            Self::Sketch(_) | Self::Flux(_) | Self::V0(_) => std::future::pending().await,
            Self::Comfyui(comfyui) => comfyui.keep_offer().await,
        }
    }

    /// Looks after what outlives its attempts, such as a process or paid tasks, until `stop`, which is triggered
    /// after the last attempt.
    pub async fn keep_host(&self, stop: Stop) {
        match self {
            Self::Sketch(_) => {}
            Self::Comfyui(comfyui) => comfyui.keep_host(stop).await,
            Self::Flux(flux) => flux.keep(stop).await,
            Self::V0(v0) => v0.keep(stop).await,
        }
    }

    /// Runs one attempt.
    ///
    /// # Errors
    /// Why the attempt failed.
    pub async fn run(&self, work: Work) -> Outcome {
        match self {
            Self::Sketch(sketch) => sketch.run(work).await,
            Self::Comfyui(comfyui) => comfyui.run(work).await,
            Self::Flux(flux) => flux.run(work).await,
            Self::V0(v0) => v0.run(work).await,
        }
    }
}

/// The failure of an attempt that was told to stop; nobody reads it.
pub(crate) fn stopped() -> Failure {
    proto::failure::FailureCode::WorkerLost.failure("the attempt was stopped")
}
