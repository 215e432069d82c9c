//! Every row of the table of broken files, each built here from a few bytes.

use std::io::{Cursor, Write as _};

use proptest::prelude::*;

use super::*;

/// A safetensors file with this header and this many bytes of data.
pub(in crate::models) fn safetensors_file(header: &str, data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.resize(file.len() + data, 0);
    file
}

const WHOLE: &str =
    r#"{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#;

fn zip_of(entry: &str) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file(entry, stored).expect("an entry");
    zip.write_all(b"\x80\x02}q\x00.").expect("written");
    zip.finish().expect("an archive").into_inner()
}

fn judge(name: &str, file: &[u8]) -> Verdict {
    assert!(file.len() < 300, "the table's files are small");
    check(name, file.len() as u64, &mut Cursor::new(file))
}

fn fault(name: &str, file: &[u8]) -> Fault {
    let verdict = judge(name, file);
    verdict.fault().unwrap_or_else(|| panic!("{verdict:?}")).clone()
}

#[test]
fn a_whole_file_is_described() {
    let verdict = judge("sub/a.safetensors", &safetensors_file(WHOLE, 16));
    let contents = verdict.contents().expect("a whole file");
    assert_eq!((contents.tensors, contents.parameters), (Some(1), Some(4)));
    assert_eq!(contents.metadata.get("format").map(String::as_str), Some("pt"));
    assert_eq!(
        (contents.format, contents.family),
        (Format::Safetensors, Family::Unknown)
    );
}

#[test]
fn what_was_saved_in_place_of_a_model_is_named() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4265380512\n";
    let page = b"\n<!DOCTYPE html><html><body>Log in</body></html>";
    let refusal = br#"{"error":"Access to model is restricted"}"#;
    for name in ["a.safetensors", "a.ckpt", "a.pth", "a.gguf", "a.sft"] {
        assert_eq!(
            fault(name, pointer),
            Fault::LfsPointer {
                declared: Some(4_265_380_512)
            }
        );
        assert_eq!(fault(name, page), Fault::HtmlPage);
        assert_eq!(fault(name, b"<html><head></head></html>"), Fault::HtmlPage);
        assert!(
            matches!(fault(name, refusal), Fault::JsonBody { excerpt } if excerpt.contains("restricted"))
        );
        assert_eq!(fault(name, b""), Fault::Empty { actual: 0 });
        assert_eq!(fault(name, b"1234567"), Fault::Empty { actual: 7 });
    }
}

#[test]
fn another_format_under_the_name_of_safetensors_is_named() {
    assert_eq!(
        fault("a.safetensors", &zip_of("archive/data.pkl")),
        Fault::TorchZip
    );
    assert_eq!(
        fault("a.safetensors", b"\x80\x02}q\x00(X\x01\x00\x00\x00wq"),
        Fault::Pickle
    );
    let gguf = b"GGUF\x03\0\0\0\x02\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0";
    assert_eq!(fault("a.safetensors", gguf), Fault::Gguf);
    assert_eq!(
        fault("a.safetensors", &[0xff; 64]),
        Fault::HeaderTooLarge { declared: u64::MAX }
    );
    let limit = (MAX_HEADER_BYTES + 1).to_le_bytes();
    assert!(matches!(
        fault("a.safetensors", &limit),
        Fault::HeaderTooLarge {
            declared: 100_000_001
        }
    ));
}

#[test]
fn a_file_that_is_not_all_there_tells_how_much_is_missing() {
    let whole = safetensors_file(WHOLE, 16);
    let (all, header) = (whole.len() as u64, whole.len() as u64 - 16);
    let cut = |at: usize| fault("a.safetensors", whole.get(..at).expect("a part"));
    assert_eq!(
        cut(40),
        Fault::HeaderCut {
            declared: header,
            actual: 40
        }
    );
    assert_eq!(
        cut(whole.len() - 1),
        Fault::DataCut {
            declared: all,
            actual: all - 1
        }
    );
    assert_eq!(
        cut(header as usize),
        Fault::DataCut {
            declared: all,
            actual: header
        }
    );
    let longer = safetensors_file(WHOLE, 19);
    assert_eq!(
        fault("a.safetensors", &longer),
        Fault::BytesAppended {
            declared: all,
            actual: all + 3
        }
    );
    assert!(cut(whole.len() - 1).sentence().contains("1 are missing"));
}

#[test]
fn a_damaged_header_is_named() {
    let of = |header: &str, data: usize| fault("a.safetensors", &safetensors_file(header, data));
    assert!(matches!(of("{not json}", 0), Fault::HeaderNotJson { .. }));
    assert!(matches!(of("[]", 0), Fault::HeaderNotJson { .. }));
    assert!(matches!(
        of(r#"{"w":{"dtype":"F32","shape":[1]}}"#, 4),
        Fault::HeaderNotJson { .. }
    ));
    let dtype = r#"{"w":{"dtype":"F5_NEW","shape":[4],"data_offsets":[0,4]}}"#;
    assert_eq!(
        of(dtype, 4),
        Fault::UnknownDtype {
            dtype: "F5_NEW".into()
        }
    );
    let mut file = safetensors_file("{    }", 0);
    file.truncate(9);
    file.extend_from_slice(b"\xff\xfe\xff}}");
    assert_eq!(fault("a.safetensors", &file), Fault::HeaderNotUtf8);
    assert_eq!(of("{}", 0), Fault::NoTensors);
    assert_eq!(of(r#"{"__metadata__":{"a":"b"}}"#, 0), Fault::NoTensors);
}

#[test]
fn tensors_out_of_place_are_named() {
    let two = |second: &str| {
        format!(
            r#"{{"v":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}},"w":{{"dtype":"U8","shape":[4],"data_offsets":{second}}}}}"#
        )
    };
    let of = |header: &str, data: usize| fault("a.safetensors", &safetensors_file(header, data));
    let misplaced = Fault::BadOffsets { tensor: "w".into() };
    assert_eq!(of(&two("[5,9]"), 9), misplaced, "a gap");
    assert_eq!(of(&two("[2,6]"), 6), misplaced, "an overlap");
    assert_eq!(of(&two("[4,1]"), 4), misplaced, "an end before its beginning");
    let wrong = Fault::WrongLength { tensor: "w".into() };
    assert_eq!(of(&two("[4,9]"), 9), wrong);
    let vast = r#"{"w":{"dtype":"F32","shape":[18446744073709551615,9],"data_offsets":[0,4]}}"#;
    assert_eq!(of(vast, 4), wrong, "a shape beyond all numbers");
    assert!(
        judge("a.safetensors", &safetensors_file(&two("[4,8]"), 8))
            .contents()
            .is_some()
    );
}

#[test]
fn pytorch_files_are_told_apart() {
    let archive = zip_of("archive/data.pkl");
    let format = |name: &str, file: &[u8]| judge(name, file).contents().map(|contents| contents.format);
    assert_eq!(format("a.pth", &archive), Some(Format::TorchZip));
    let cut = archive.get(..archive.len() - 30).expect("a part");
    assert_eq!(fault("a.ckpt", cut), Fault::ArchiveCut);
    assert_eq!(fault("a.pt", &zip_of("readme.txt")), Fault::ForeignArchive);
    let legacy = [b"\x80\x02", LEGACY_TORCH, b".\x80\x02M\xe9\x03."].concat();
    assert_eq!(format("a.ckpt", &legacy), Some(Format::Pickle));
    assert_eq!(
        format("a.pkl", b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94."),
        Some(Format::Pickle)
    );
    assert_eq!(fault("a.ckpt", &safetensors_file(WHOLE, 16)), Fault::Misnamed);
    assert_eq!(
        fault("a.ckpt", b"MZ\x90\0\x03\0\0\0\x04\0\0\0"),
        Fault::UnknownContent
    );
}

#[test]
fn a_gguf_file_is_known_by_its_magic() {
    let file = b"GGUF\x03\0\0\0\x02\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0";
    assert_eq!(
        judge("a.GGUF", file)
            .contents()
            .and_then(|contents| contents.tensors),
        Some(2)
    );
    assert_eq!(fault("a.bin", file), Fault::Gguf);
    assert_eq!(
        fault("a.gguf", b"\x01\x02\x03\x04\x05\x06\x07\x08"),
        Fault::UnknownContent
    );
}

#[test]
fn families_are_guessed_from_names_and_shapes() {
    let family = |tensors: &[(&str, &str)]| {
        let entries: Vec<String> = tensors
            .iter()
            .map(|(name, shape)| {
                format!(r#""{name}":{{"dtype":"U8","shape":[{shape}],"data_offsets":[0,0]}}"#)
            })
            .collect();
        let file = safetensors_file(&format!("{{{}}}", entries.join(",")), 0);
        let verdict = check("a.safetensors", file.len() as u64, &mut Cursor::new(&file));
        verdict.contents().unwrap_or_else(|| panic!("{verdict:?}")).family
    };
    let unet = "model.diffusion_model.input_blocks";
    let cross = "transformer_blocks.0.attn2.to_k.weight";
    assert_eq!(family(&[(&format!("{unet}.1.1.{cross}"), "0,768")]), Family::Sd15);
    assert_eq!(
        family(&[(&format!("{unet}.4.1.{cross}"), "0,2048")]),
        Family::Sdxl
    );
    assert_eq!(
        family(&[
            (&format!("{unet}.1.1.time_stack.0.norm"), "0"),
            (&format!("{unet}.1.1.{cross}"), "0,1024")
        ]),
        Family::Svd
    );
    assert_eq!(
        family(&[(
            "model.diffusion_model.joint_blocks.0.x_block.attn.ln_q.weight",
            "0"
        )]),
        Family::Sd35
    );
    let flux = [
        ("double_blocks.0.img_attn.qkv.weight", "0"),
        ("single_blocks.0.linear1.weight", "0"),
    ];
    assert_eq!(family(&flux), Family::Flux);
    assert_eq!(
        family(&[("lora_unet_down_blocks_0.lora_down.weight", "0")]),
        Family::Lora
    );
    assert_eq!(family(&[("decoder.conv_in.weight", "0")]), Family::Vae);
    assert_eq!(
        family(&[("control_model.zero_convs.0.0.weight", "0")]),
        Family::Controlnet
    );
    assert_eq!(
        family(&[("conv_first.weight", "0"), ("body.0.rdb1.conv1.weight", "0")]),
        Family::Upscaler
    );
    assert_eq!(family(&[("w", "0")]), Family::Unknown);
}

#[test]
fn a_verdict_is_written_flat() {
    let file = b"<html>too short or not</html>";
    let json = serde_json::to_value(judge("a.safetensors", file)).expect("JSON");
    assert_eq!(json.get("verdict").and_then(|text| text.as_str()), Some("broken"));
    assert_eq!(
        json.get("reason").and_then(|text| text.as_str()),
        Some("html_page")
    );
    assert!(json.get("remedy").is_some() && json.get("sentence").is_some());
}

proptest! {
    #[test]
    fn no_content_is_too_strange(
        name in prop_oneof![Just("a.safetensors"), Just("a.ckpt"), Just("a.gguf"), Just("a.txt")],
        start in proptest::sample::select(vec![
            &b""[..], b"PK\x03\x04", b"GGUF", b"\x80\x02",
            b"\x30\0\0\0\0\0\0\0{\"w\":{\"dtype\":\"F32\",\"shape\":[",
        ]),
        rest in proptest::collection::vec(any::<u8>(), 0..200),
        size in prop_oneof![Just(None), any::<u64>().prop_map(Some)],
    ) {
        let file = [start, &rest].concat();
        drop(check(name, size.unwrap_or(file.len() as u64), &mut Cursor::new(&file)));
    }

    #[test]
    fn any_cut_of_a_whole_file_is_noticed(at in 0_usize..100) {
        let whole = safetensors_file(WHOLE, 16);
        let cut = whole.get(..at.min(whole.len() - 1)).unwrap_or_default();
        prop_assert!(judge("a.safetensors", cut).fault().is_some());
    }
}
