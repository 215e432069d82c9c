//! Which crate may import which: the table, and what the manifests say.

use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::repository;

/// What each crate may import of the others, for its code and its build script.
const ALLOWED: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("connectors", &[]),
    ("runtime", &["proto"]),
    ("worker", &["proto", "runtime", "connectors"]),
    ("gateway", &["proto", "runtime"]),
    ("monitor", &["proto", "runtime"]),
    (
        "cli",
        &["proto", "runtime", "connectors", "worker", "gateway", "monitor"],
    ),
    (
        "e2e",
        &[
            "proto",
            "runtime",
            "connectors",
            "worker",
            "gateway",
            "monitor",
            "cli",
        ],
    ),
    ("xtask", &[]),
];

/// Imported by nobody, not even for tests.
const ROOTS: [&str; 2] = ["e2e", "xtask"];

/// Crates of others that only some of ours may know, for whatever purpose, and why.
const RESERVED: &[(&str, &[&str], &str)] = &[(
    "async-nats",
    &["runtime", "e2e"],
    "only runtime speaks NATS, and e2e measures it raw and breaks it",
)];

/// A crate of the workspace and what it imports.
pub(crate) struct Member {
    name: String,
    imports: Vec<Import>,
}

struct Import {
    name: String,
    kind: DependencyKind,
    /// Whether it is one of our own.
    ours: bool,
}

/// Reads the manifests; needs no network, since nothing is resolved.
pub(crate) fn members() -> Vec<Member> {
    let manifest = repository::root().join("Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .expect("cargo metadata for the workspace");
    let member = |package: &cargo_metadata::Package| Member {
        name: package.name.to_string(),
        imports: package
            .dependencies
            .iter()
            .map(|import| Import {
                name: import.name.clone(),
                kind: import.kind,
                ours: import.path.is_some(),
            })
            .collect(),
    };
    metadata.packages.iter().map(member).collect()
}

/// Every import that points the wrong way, and every crate that the table does not know.
pub(crate) fn faults(members: &[Member]) -> Vec<String> {
    let mut faults = Vec::new();
    for member in members {
        let name = &member.name;
        let Some((_, allowed)) = ALLOWED.iter().find(|(crate_name, _)| crate_name == name) else {
            faults.push(format!("{name} is not in the table of arrows"));
            continue;
        };
        for import in &member.imports {
            faults.extend(fault(name, allowed, import));
        }
    }
    let missing = ALLOWED
        .iter()
        .filter(|(name, _)| !members.iter().any(|member| member.name == *name));
    faults.extend(
        missing.map(|(name, _)| format!("{name} is in the table of arrows and not in the workspace")),
    );
    faults
}

fn fault(name: &str, allowed: &[&str], import: &Import) -> Option<String> {
    let imported = import.name.as_str();
    let for_tests = import.kind == DependencyKind::Development;
    if import.ours && ROOTS.contains(&imported) {
        return Some(format!("{name} imports {imported}, which nothing may import"));
    }
    if import.ours && !for_tests && !allowed.contains(&imported) {
        return Some(format!(
            "{name} imports {imported}; it may import only {allowed:?}"
        ));
    }
    let (_, users, why) = RESERVED.iter().find(|(reserved, _, _)| *reserved == imported)?;
    (!users.contains(&name)).then(|| format!("{name} imports {imported}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All crates without imports, but one.
    fn with_import(member: &str, import: &str, kind: DependencyKind) -> Vec<String> {
        let ours = ALLOWED.iter().any(|(name, _)| *name == import);
        let members = ALLOWED.iter().map(|(name, _)| Member {
            name: (*name).to_owned(),
            imports: if *name == member {
                vec![Import {
                    name: import.to_owned(),
                    kind,
                    ours,
                }]
            } else {
                Vec::new()
            },
        });
        faults(&members.collect::<Vec<_>>())
    }

    #[test]
    fn finds_arrows_that_point_up_or_sideways() {
        for kind in [DependencyKind::Normal, DependencyKind::Build] {
            for (member, import) in [
                ("proto", "runtime"),
                ("connectors", "proto"),
                ("gateway", "worker"),
                ("gateway", "connectors"),
                ("monitor", "gateway"),
                ("worker", "cli"),
                ("cli", "e2e"),
                ("xtask", "proto"),
            ] {
                assert_eq!(with_import(member, import, kind).len(), 1, "{member} -> {import}");
            }
            for (member, import) in [
                ("worker", "connectors"),
                ("cli", "gateway"),
                ("e2e", "cli"),
                ("proto", "serde"),
            ] {
                assert!(
                    with_import(member, import, kind).is_empty(),
                    "{member} -> {import}"
                );
            }
        }
    }

    #[test]
    fn tests_may_import_more_but_not_the_roots() {
        assert!(with_import("connectors", "proto", DependencyKind::Development).is_empty());
        assert_eq!(
            with_import("gateway", "e2e", DependencyKind::Development).len(),
            1
        );
        assert_eq!(
            with_import("gateway", "xtask", DependencyKind::Development).len(),
            1
        );
    }

    #[test]
    fn finds_a_second_crate_that_speaks_nats() {
        assert_eq!(
            with_import("worker", "async-nats", DependencyKind::Normal).len(),
            1
        );
        assert_eq!(
            with_import("gateway", "async-nats", DependencyKind::Development).len(),
            1
        );
        assert!(with_import("runtime", "async-nats", DependencyKind::Normal).is_empty());
        assert!(with_import("e2e", "async-nats", DependencyKind::Normal).is_empty());
    }

    #[test]
    fn finds_a_crate_without_a_row_and_a_row_without_a_crate() {
        let stranger = Member {
            name: "stranger".to_owned(),
            imports: Vec::new(),
        };
        assert_eq!(faults(&[stranger]).len(), 1 + ALLOWED.len());
    }
}
