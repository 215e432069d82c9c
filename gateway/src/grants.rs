//! Permission for workers to upload: for one file of one claim, by a token that this gateway signs.
//!
//! The key is made at start and never leaves the process, so a worker gets the address of the gateway
//! that answered together with the token. After a restart it simply asks again.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use proto::{
    Status,
    failure::FailureCode,
    ids::{ArtifactId, AssetId, JobId},
    lifecycle::holder,
    moment::Millis,
    v1::{AssetGrant, AssetGrantRequest, UploadGrant, UploadGrantRequest},
};
use rand::{
    TryRng as _,
    rngs::{SysError, SysRng},
};
use runtime::{clock, records::Records, telemetry::chain};
use sha2::Sha256;

use crate::problem::Problem;

/// How long a token may be used to begin an upload.
const VALID_FOR: Duration = Duration::from_mins(10);

/// Gives and checks permission. Cloning gives another handle.
#[derive(Clone)]
pub struct Grants {
    records: Records,
    base: String,
    key: [u8; 32],
}

impl std::fmt::Debug for Grants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grants")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl Grants {
    /// For a gateway that workers reach at `base`, e.g. `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn new(records: Records, base: &str) -> Result<Self, SysError> {
        let mut key = [0; 32];
        SysRng.try_fill_bytes(&mut key)?;
        Ok(Self {
            records,
            base: base.to_owned(),
            key,
        })
    }

    /// Permits an upload to who holds the job.
    pub async fn grant_upload(&self, request: &UploadGrantRequest) -> UploadGrant {
        let refused = |refusal: &str| UploadGrant {
            refusal: refusal.to_owned(),
            ..UploadGrant::default()
        };
        let (Ok(job), Ok(claim)) = (request.job.parse::<JobId>(), request.claim_id.parse()) else {
            return refused("the job or the claim has no id");
        };
        match self.records.load(job).await {
            Ok(Some(record))
                if record.status() == Status::Running
                    && holder(&record) == Some(claim)
                    && record.attempt == request.attempt =>
            {
                let artifact = ArtifactId {
                    job,
                    attempt: request.attempt,
                    index: request.index,
                };
                let token = self.sign(artifact, valid_until(clock::now()));
                UploadGrant {
                    url: format!("{}/internal/artifacts", self.base),
                    token,
                    refusal: String::new(),
                }
            }
            Ok(_) => refused("another attempt holds the job"),
            Err(error) => refused(&chain(&error)),
        }
    }

    /// Tells where an input can be fetched: an upload, or a result.
    pub fn grant_asset(&self, request: &AssetGrantRequest) -> AssetGrant {
        let path = if request.artifact.is_empty() {
            let id = request.asset.parse::<AssetId>();
            id.map(|id| format!("assets/{id}"))
        } else {
            let id = request.artifact.parse::<ArtifactId>();
            id.map(|id| format!("artifacts/{id}"))
        };
        match path {
            Ok(path) => AssetGrant {
                url: format!("{}/api/{path}/content", self.base),
                refusal: String::new(),
            },
            Err(error) => AssetGrant {
                url: String::new(),
                refusal: error.to_string(),
            },
        }
    }

    /// Which file may be uploaded with this token.
    ///
    /// # Errors
    /// `upload_refused` where this gateway did not give the token, or too long ago.
    pub fn check_upload(&self, token: &str) -> Result<ArtifactId, Problem> {
        let refused = |why: &str| Problem::new(FailureCode::UploadRefused, why);
        let parse = || {
            let (text, signature) = token.rsplit_once('.')?;
            let (artifact, until) = text.split_once('.')?;
            let artifact: ArtifactId = artifact.parse().ok()?;
            Some((
                artifact,
                until.parse::<Millis>().ok()?,
                BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?,
            ))
        };
        let Some((artifact, until, signature)) = parse() else {
            return Err(refused("the token is not one of this gateway"));
        };
        if self
            .mac(artifact, until)
            .is_none_or(|mac| mac.verify_slice(&signature).is_err())
        {
            return Err(refused("the token is not one of this gateway"));
        }
        if until < clock::now() {
            return Err(refused("the token is too old"));
        }
        Ok(artifact)
    }

    fn sign(&self, artifact: ArtifactId, until: Millis) -> String {
        let signature = self
            .mac(artifact, until)
            .map(|mac| mac.finalize().into_bytes())
            .unwrap_or_default();
        format!("{artifact}.{until}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    fn mac(&self, artifact: ArtifactId, until: Millis) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(format!("{artifact}.{until}").as_bytes());
        Some(mac)
    }
}

fn valid_until(now: Millis) -> Millis {
    now.saturating_add(Millis::try_from(VALID_FOR.as_millis()).unwrap_or(Millis::MAX))
}
