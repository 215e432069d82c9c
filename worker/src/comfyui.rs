//! stand-in
use crate::work::{Outcome, Work};
use proto::v1::BackendOffer;
use std::convert::Infallible;
#[derive(Debug, Clone)]
pub struct ComfyuiSettings {
    pub url: url::Url,
}
impl ComfyuiSettings {
    pub fn read(_: &mut runtime::settings::Reader) -> Option<Self> {
        None
    }
}
#[derive(Debug, thiserror::Error)]
#[error("never")]
pub struct ComfyuiError;
#[derive(Debug)]
pub struct Comfyui;
impl Comfyui {
    pub fn new(_: ComfyuiSettings) -> Result<Self, ComfyuiError> {
        Ok(Self)
    }
    pub const fn slots(&self) -> usize {
        1
    }
    pub fn offer(&self) -> BackendOffer {
        BackendOffer::default()
    }
    pub async fn keep_offer(&self) {
        std::future::pending().await
    }
    pub async fn run(&self, _: Work) -> Outcome {
        Ok(vec![])
    }
}
