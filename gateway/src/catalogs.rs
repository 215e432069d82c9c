//! What each ComfyUI of the fleet can run: their catalogs by hash, asked of a worker when it names a new one.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::Read as _,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use prost::Message as _;
use proto::v1::{Catalog, CatalogCall, host_call::Call, host_reply::Body};
use runtime::{clock, tasks::Stop};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{fitness::MEMORY, hosts::Hosts, picture::Picture};

/// The largest catalog as it is sent.
const MAX_PACKED_BYTES: usize = 16 * 1024 * 1024;
/// The largest catalog as it is used.
const MAX_BYTES: u64 = 128 * 1024 * 1024;
/// How often new hashes are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A worker that did not give its catalog is not asked for it again for this long.
const PAUSE: Duration = Duration::from_secs(20);
/// Catalogs that are fetched at the same time.
const FETCHES: usize = 4;

/// The catalogs that are known. Cloning gives another handle.
#[derive(Debug, Clone, Default)]
pub struct Catalogs {
    known: Arc<RwLock<HashMap<String, Arc<Catalog>>>>,
}

/// Why a catalog cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// It is larger than any ComfyUI's could be.
    #[error("the catalog is too large")]
    TooLarge,
    /// It is not what was compressed.
    #[error("the catalog cannot be decompressed")]
    Packed(#[source] std::io::Error),
    /// It is no catalog.
    #[error("the catalog cannot be read")]
    Garbled(#[source] prost::DecodeError),
    /// It is another one than was announced.
    #[error("the catalog is not the announced one")]
    Other,
    /// The worker does not give it.
    #[error("the worker does not give its catalog: {0}")]
    Refused(String),
}

impl Catalogs {
    /// One by its hash, if it is known.
    pub fn get(&self, hash: &str) -> Option<Arc<Catalog>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(hash).cloned()
    }

    /// Fetches what is announced and not known, and forgets what nobody names any more, until `stop`.
    pub async fn follow(self, hosts: Hosts, picture: Picture, stop: Stop) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pauses: HashMap<String, Instant> = HashMap::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            let (named, wanted) = self.look(&picture);
            self.forget(&named);
            pauses.retain(|_, until| *until > Instant::now());
            let wanted = wanted.into_iter().filter(|(hash, _)| !pauses.contains_key(hash));
            let fetches: Vec<_> = wanted
                .map(|(hash, worker)| self.fetch(&hosts, worker, hash))
                .collect();
            let failed = stream::iter(fetches).buffer_unordered(FETCHES);
            let failed: Vec<Option<String>> = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                failed = failed.collect() => failed,
            };
            let until = Instant::now() + PAUSE;
            pauses.extend(failed.into_iter().flatten().map(|hash| (hash, until)));
        }
    }

    /// Fetches one; gives its hash back where that did not work.
    async fn fetch(&self, hosts: &Hosts, worker: String, hash: String) -> Option<String> {
        match fetch(hosts, &worker, &hash).await {
            Ok(catalog) => {
                tracing::info!(
                    worker.id = worker,
                    classes = catalog.classes.len(),
                    "got a catalog"
                );
                let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
                known.insert(hash, Arc::new(catalog));
                None
            }
            Err(error) => {
                let error = runtime::telemetry::chain(&error);
                tracing::warn!(
                    worker.id = worker,
                    error,
                    "requests are not checked against its ComfyUI"
                );
                Some(hash)
            }
        }
    }

    /// All hashes that are named, and those that are not known with a worker that is there and has it.
    fn look(&self, picture: &Picture) -> (HashSet<String>, BTreeMap<String, String>) {
        let now = clock::now();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        picture.with_fleet(|fleet| {
            let hashes = |worker: &proto::v1::Worker| -> Vec<String> {
                let offers = worker.backends.iter();
                offers
                    .map(|offer| offer.catalog.clone())
                    .filter(|hash| !hash.is_empty())
                    .collect()
            };
            let named = fleet.heard_within(now, MEMORY).flat_map(hashes).collect();
            let wanted = fleet
                .present(now)
                .flat_map(|worker| hashes(worker).into_iter().map(|hash| (hash, worker.id.clone())))
                .filter(|(hash, _)| !known.contains_key(hash))
                .collect();
            (named, wanted)
        })
    }

    fn forget(&self, named: &HashSet<String>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|hash, _| named.contains(hash));
    }
}

async fn fetch(hosts: &Hosts, worker: &str, hash: &str) -> Result<Catalog, CatalogError> {
    let replies = hosts.call(worker, Call::Catalog(CatalogCall {}));
    let mut replies = std::pin::pin!(replies.map_err(|problem| CatalogError::Refused(problem.detail))?);
    let mut packed = Vec::new();
    while let Some(reply) = replies.next().await {
        match reply.body {
            Some(Body::Catalog(piece)) => {
                if packed.len() + piece.content.len() > MAX_PACKED_BYTES {
                    return Err(CatalogError::TooLarge);
                }
                packed.extend_from_slice(&piece.content);
            }
            Some(Body::Failure(failure)) => return Err(CatalogError::Refused(failure.message)),
            _ => {}
        }
    }
    let hash = hash.to_owned();
    let unpacked = tokio::task::spawn_blocking(move || unpack(&packed, &hash));
    unpacked
        .await
        .unwrap_or_else(|error| Err(CatalogError::Refused(error.to_string())))
}

/// The catalog that was packed, if it is the one of this hash: BLAKE3 of its encoding, in hex.
///
/// # Errors
/// Why it cannot be used.
pub fn unpack(packed: &[u8], hash: &str) -> Result<Catalog, CatalogError> {
    let decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(CatalogError::Packed)?;
    let mut encoded = Vec::new();
    decoder
        .take(MAX_BYTES + 1)
        .read_to_end(&mut encoded)
        .map_err(CatalogError::Packed)?;
    if encoded.len() as u64 > MAX_BYTES {
        return Err(CatalogError::TooLarge);
    }
    if blake3::hash(&encoded).to_hex().as_str() != hash {
        return Err(CatalogError::Other);
    }
    Catalog::decode(encoded.as_slice()).map_err(CatalogError::Garbled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1::NodeClass;

    fn packed(content: &[u8]) -> (Vec<u8>, String) {
        let hash = blake3::hash(content).to_hex().to_string();
        (zstd::encode_all(content, 3).expect("compressed"), hash)
    }

    #[test]
    fn a_catalog_comes_out_as_it_went_in() {
        let class = NodeClass {
            name: "KSampler".into(),
            ..NodeClass::default()
        };
        let catalog = Catalog {
            classes: vec![class; 500],
        };
        let (bytes, hash) = packed(&catalog.encode_to_vec());
        assert_eq!(unpack(&bytes, &hash).expect("a catalog"), catalog);
        assert!(matches!(unpack(&bytes, "00"), Err(CatalogError::Other)));
        let cut = bytes.get(..bytes.len() / 2).expect("a half");
        assert!(matches!(unpack(cut, &hash), Err(CatalogError::Packed(_))));
    }

    #[test]
    fn a_bomb_does_not_fill_the_memory() {
        let (bytes, hash) = packed(&vec![0; 130 * 1024 * 1024]);
        assert!(bytes.len() < 100_000, "{}", bytes.len());
        assert!(matches!(unpack(&bytes, &hash), Err(CatalogError::TooLarge)));
    }
}
