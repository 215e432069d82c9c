//! Compiles the contract to Rust: messages, gRPC service, JSON mapping and the descriptor for reflection.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: &[&str] = &[
    "artifact", "catalog", "host", "job", "queue", "request", "service", "spend", "worker", "workflow",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=orchestrator");
    let files: Vec<String> = FILES
        .iter()
        .map(|name| format!("orchestrator/v1/{name}.proto"))
        .collect();
    let descriptors = protox::compile(&files, ["."])?;
    let encoded = descriptors.encode_to_vec();
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join("descriptor.bin"), &encoded)?;

    tonic_prost_build::configure()
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .bytes(".orchestrator.v1")
        .boxed(".orchestrator.v1.Update.update.job")
        .compile_fds(descriptors)?;
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .preserve_proto_field_names()
        .build(&[".orchestrator.v1"])?;
    Ok(())
}
