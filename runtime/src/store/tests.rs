//! Files go in and out whole, and nothing half written is left.

use super::*;
use futures::stream;

fn store(dir: &tempfile::TempDir, max_bytes: u64) -> Store {
    let inner = object_store::local::LocalFileSystem::new_with_prefix(dir.path()).expect("a store");
    Store::new(Arc::new(inner), max_bytes)
}

fn files(dir: &tempfile::TempDir) -> usize {
    fn count(dir: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(dir).expect("readable").filter_map(Result::ok);
        entries
            .map(|entry| {
                if entry.path().is_dir() {
                    count(&entry.path())
                } else {
                    1
                }
            })
            .sum()
    }
    count(dir.path())
}

fn parts(texts: &[&'static str]) -> impl Stream<Item = Result<Bytes, io::Error>> + Unpin + use<> {
    stream::iter(
        texts
            .iter()
            .map(|text| Ok(Bytes::from_static(text.as_bytes())))
            .collect::<Vec<_>>(),
    )
}

#[tokio::test]
async fn what_went_in_comes_out_whole_and_in_part() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(&dir, 100);
    let stored = store
        .put("a/1/0", None, parts(&["hello ", "world"]))
        .await
        .expect("stored");
    assert_eq!(stored.size_bytes, 11);
    let content = store
        .get("a/1/0", Some(GetRange::Bounded(6..11)))
        .await
        .expect("there");
    let bytes: Vec<Bytes> = content.stream.try_collect().await.expect("readable");
    assert_eq!((bytes.concat(), content.size_bytes), (b"world".to_vec(), 11));
    assert!(matches!(
        store.get("a/1/0", Some(GetRange::Offset(11))).await,
        Err(StoreError::Range(11))
    ));
    assert_eq!(store.remove_all("a").await.expect("removed"), 1);
    assert!(matches!(
        store.get("a/1/0", None).await,
        Err(StoreError::Missing(_))
    ));
}

#[tokio::test]
async fn nothing_half_written_is_left_or_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(&dir, 8);
    let cut = stream::iter([Ok(Bytes::from_static(b"half")), Err(io::Error::other("gone"))]);
    assert!(matches!(store.put("k", None, cut).await, Err(StoreError::Cut(_))));
    assert!(matches!(
        store.put("k", None, parts(&["123456789"])).await,
        Err(StoreError::TooLarge(8))
    ));
    assert!(matches!(
        store.put("k", Some("00"), parts(&["1234"])).await,
        Err(StoreError::Corrupt { .. })
    ));
    assert!(matches!(store.get("k", None).await, Err(StoreError::Missing(_))));
    assert_eq!(files(&dir), 0);
}

#[tokio::test]
async fn only_old_files_are_removed() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = store(&dir, 100);
    for key in ["uploads/a", "uploads/b", "jobs/c"] {
        store.put(key, None, parts(&["x"])).await.expect("stored");
    }
    assert_eq!(
        store
            .remove_old("uploads", Duration::from_hours(1))
            .await
            .expect("listed"),
        0
    );
    assert_eq!(
        store
            .remove_old("uploads", Duration::ZERO)
            .await
            .expect("removed"),
        2
    );
    assert_eq!(files(&dir), 1);
}

#[test]
fn a_full_disk_is_told_apart() {
    let full = io::Error::from(io::ErrorKind::StorageFull);
    let error = object_store::Error::Generic {
        store: "local",
        source: Box::new(full),
    };
    assert!(matches!(StoreError::from(error), StoreError::Full(_)));
}
