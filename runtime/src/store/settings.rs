//! Where the artifact store is: a directory, or a bucket of an S3-compatible service.

use std::{fs, path::PathBuf, sync::Arc};

use object_store::{aws::AmazonS3Builder, local::LocalFileSystem, prefix::PrefixStore};

use super::Store;
use crate::settings::{ByteSize, Reader, Secret};

/// Where artifacts are kept.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// A directory, `s3://bucket/prefix`, or `gateway` on a worker that hands its files to the gateway.
    pub url: String,
    /// The largest file.
    pub max_size: ByteSize,
    /// Address of an S3-compatible service; the default is AWS.
    pub s3_endpoint: Option<String>,
    /// Region of the bucket.
    pub s3_region: String,
    /// Access key.
    pub s3_access_key: Option<Secret>,
    /// Secret key.
    pub s3_secret_key: Option<Secret>,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or read.
    #[error("the artifact directory {path} cannot be used")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The store does not accept its settings.
    #[error("the artifact store cannot be opened")]
    Store(#[from] object_store::Error),
}

impl StoreSettings {
    /// Reads the gateway's settings of this part.
    pub fn read(reader: &mut Reader) -> Self {
        Self::read_as(
            reader,
            "artifacts.url",
            "data/artifacts",
            "where the gateway keeps artifacts: a directory, or s3://bucket/prefix",
        )
    }

    /// Reads a worker's settings of this part.
    pub fn read_for_worker(reader: &mut Reader) -> Self {
        Self::read_as(
            reader,
            "worker.artifacts_url",
            "gateway",
            "how a worker stores artifacts: `gateway`, or directly with the same value as artifacts.url",
        )
    }

    fn read_as(reader: &mut Reader, key: &'static str, default: &'static str, meaning: &'static str) -> Self {
        let settings = Self {
            url: reader.get(key, default, meaning),
            max_size: reader.get("artifacts.max_size", "2GiB", "the largest artifact or upload"),
            s3_endpoint: reader.optional(
                "artifacts.s3_endpoint",
                "address of an S3-compatible service; AWS if absent",
            ),
            s3_region: reader.get("artifacts.s3_region", "us-east-1", "region of the bucket"),
            s3_access_key: reader.optional("artifacts.s3_access_key", "access key of the bucket"),
            s3_secret_key: reader.optional("artifacts.s3_secret_key", "secret key of the bucket"),
        };
        if settings.url.contains("://")
            && !settings.url.starts_with("s3://")
            && !settings.url.starts_with("file://")
        {
            reader.fault(
                key,
                "must be a directory, file:///directory or s3://bucket/prefix",
            );
        }
        settings
    }

    /// Whether files are handed to the gateway instead of stored directly.
    pub fn is_gateway(&self) -> bool {
        self.url == "gateway"
    }

    /// Opens the store; makes the directory where it is one.
    ///
    /// # Errors
    /// If the directory or bucket cannot be used.
    pub fn open(&self) -> Result<Store, OpenError> {
        let max_bytes = self.max_size.0;
        if let Some(place) = self.url.strip_prefix("s3://") {
            let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
            let mut builder = AmazonS3Builder::new()
                .with_bucket_name(bucket)
                .with_region(&self.s3_region);
            if let Some(endpoint) = &self.s3_endpoint {
                builder = builder
                    .with_endpoint(endpoint)
                    .with_allow_http(endpoint.starts_with("http://"));
            }
            if let (Some(access), Some(secret)) = (&self.s3_access_key, &self.s3_secret_key) {
                builder = builder
                    .with_access_key_id(access.reveal())
                    .with_secret_access_key(secret.reveal());
            }
            return Ok(Store::new(
                Arc::new(PrefixStore::new(builder.build()?, prefix)),
                max_bytes,
            ));
        }
        let path = PathBuf::from(self.url.strip_prefix("file://").unwrap_or(&self.url));
        fs::create_dir_all(&path).map_err(|source| OpenError::Directory {
            path: path.clone(),
            source,
        })?;
        let inner = LocalFileSystem::new_with_prefix(&path)?.with_automatic_cleanup(true);
        Ok(Store::new(Arc::new(inner), max_bytes))
    }
}
