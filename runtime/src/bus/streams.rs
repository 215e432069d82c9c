//! Sets up the streams that the contract names, and refuses servers that would only seem to obey.

use async_nats::jetstream::stream::{Compression, Config, DiscardPolicy, RetentionPolicy, StorageType};
use proto::topology::{self, Kind, Stream};

use super::{Bus, BusError};

pub(super) async fn set_up(bus: &Bus) -> Result<(), BusError> {
    check_server(bus).await?;
    for stream in topology::STREAMS {
        ensure(bus, stream).await?;
    }
    Ok(())
}

/// An older server accepts settings that it then ignores, so its level is asked first.
async fn check_server(bus: &Bus) -> Result<(), BusError> {
    let account = bus.context().query_account().await.map_err(|error| {
        let text = crate::telemetry::chain(&error);
        if text.contains("not enabled") {
            let why = "the nats-server runs without JetStream; start it with -js or a jetstream block";
            BusError::Unsuitable(why.to_owned())
        } else {
            BusError::unavailable("ask for the server's level", error)
        }
    })?;
    let level = i64::try_from(account.requests.level).unwrap_or(i64::MAX);
    if level < topology::API_LEVEL {
        return Err(BusError::Unsuitable(format!(
            "nats-server {} is too old: {} or newer is needed (JetStream API level {}, found {level})",
            bus.server_version(),
            topology::SERVER_VERSION,
            topology::API_LEVEL,
        )));
    }
    Ok(())
}

async fn ensure(bus: &Bus, stream: &Stream) -> Result<(), BusError> {
    let wanted = config(stream, bus.inner.replicas);
    let refused = |error| BusError::Refused {
        doing: "set up a stream",
        source: error,
    };
    let found = bus
        .context()
        .get_or_create_stream(wanted.clone())
        .await
        .map_err(|error| refused(Box::new(error)))?
        .cached_info()
        .config
        .clone();
    if differences(&wanted, &found).is_empty() {
        return Ok(());
    }
    tracing::info!(stream = stream.name, "bringing the stream's settings up to date");
    let updated = bus
        .context()
        .update_stream(wanted.clone())
        .await
        .map_err(|error| refused(Box::new(error)))?;
    let ignored = differences(&wanted, &updated.config);
    if ignored.is_empty() {
        Ok(())
    } else {
        Err(BusError::Unsuitable(format!(
            "the broker ignored settings of {}: {}",
            stream.name,
            ignored.join(", ")
        )))
    }
}

fn config(stream: &Stream, replicas: u32) -> Config {
    let queue = stream.kind == Kind::WorkQueue;
    let log = stream.kind == Kind::Log;
    Config {
        name: stream.name.to_owned(),
        subjects: stream.subjects.iter().map(ToString::to_string).collect(),
        retention: if queue {
            RetentionPolicy::WorkQueue
        } else {
            RetentionPolicy::Limits
        },
        storage: if stream.memory {
            StorageType::Memory
        } else {
            StorageType::File
        },
        num_replicas: if stream.name == topology::PROGRESS {
            1
        } else {
            replicas as usize
        },
        max_messages_per_subject: if log { -1 } else { 1 },
        deny_delete: log,
        deny_purge: log,
        max_messages: -1,
        max_bytes: stream.max_bytes,
        max_age: stream.max_age,
        max_message_size: stream.max_message_bytes,
        discard: if stream.immutable {
            DiscardPolicy::New
        } else {
            DiscardPolicy::Old
        },
        discard_new_per_subject: stream.immutable,
        allow_direct: true,
        allow_rollup: queue,
        allow_message_schedules: queue,
        allow_message_ttl: stream.marker_ttl.is_some(),
        subject_delete_marker_ttl: stream.marker_ttl,
        compression: stream.compressed.then_some(Compression::S2),
        duplicate_window: std::time::Duration::from_secs(1).min(if stream.max_age.is_zero() {
            std::time::Duration::MAX
        } else {
            stream.max_age
        }),
        ..Config::default()
    }
}

/// The names of settings in which two configurations differ, of those that the protocol relies on.
fn differences(wanted: &Config, found: &Config) -> Vec<&'static str> {
    let compression = |config: &Config| config.compression == Some(Compression::S2);
    let mut list = Vec::new();
    let mut check = |name, same: bool| {
        if !same {
            list.push(name);
        }
    };
    check("subjects", wanted.subjects == found.subjects);
    check("retention", wanted.retention == found.retention);
    check("num_replicas", wanted.num_replicas == found.num_replicas);
    check(
        "max_msgs_per_subject",
        wanted.max_messages_per_subject == found.max_messages_per_subject,
    );
    check("max_bytes", wanted.max_bytes == found.max_bytes);
    check("max_age", wanted.max_age == found.max_age);
    check("max_msg_size", wanted.max_message_size == found.max_message_size);
    check("discard", wanted.discard == found.discard);
    check(
        "discard_new_per_subject",
        wanted.discard_new_per_subject == found.discard_new_per_subject,
    );
    check("allow_direct", wanted.allow_direct == found.allow_direct);
    check(
        "allow_msg_schedules",
        wanted.allow_message_schedules == found.allow_message_schedules,
    );
    check(
        "allow_msg_ttl",
        wanted.allow_message_ttl == found.allow_message_ttl,
    );
    check(
        "subject_delete_marker_ttl",
        wanted.subject_delete_marker_ttl == found.subject_delete_marker_ttl,
    );
    check(
        "deny_delete",
        wanted.deny_delete == found.deny_delete && wanted.deny_purge == found.deny_purge,
    );
    check("compression", compression(wanted) == compression(found));
    list
}
