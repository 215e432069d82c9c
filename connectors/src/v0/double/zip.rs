//! Packs files into a zip, without compression: as much of the format as it takes.

use std::collections::BTreeMap;

use bytes::Bytes;

/// All files in one archive.
pub(super) fn pack(files: &BTreeMap<String, Vec<u8>>) -> Bytes {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let offset = body.len() as u32;
        let fields = fields(name, content);
        body.extend_from_slice(b"PK\x03\x04");
        body.extend_from_slice(&fields);
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(content);
        directory.extend_from_slice(b"PK\x01\x02\x14\0");
        directory.extend_from_slice(&fields);
        // no comment, disk 0, no attributes
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let (count, start, length) = (files.len() as u16, body.len() as u32, directory.len() as u32);
    body.append(&mut directory);
    body.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    body.extend_from_slice(&count.to_le_bytes());
    body.extend_from_slice(&count.to_le_bytes());
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(&start.to_le_bytes());
    body.extend_from_slice(&[0, 0]);
    body.into()
}

/// What both places say of a file: version, flags (names are UTF-8), method, time, check sum, sizes, name.
fn fields(name: &str, content: &[u8]) -> Vec<u8> {
    let size = (content.len() as u32).to_le_bytes();
    let mut fields = vec![0x14, 0, 0, 0x08, 0, 0, 0, 0, 0x21, 0];
    fields.extend_from_slice(&check_sum(content).to_le_bytes());
    fields.extend_from_slice(&size);
    fields.extend_from_slice(&size);
    fields.extend_from_slice(&(name.len() as u16).to_le_bytes());
    // no extra field
    fields.extend_from_slice(&[0, 0]);
    fields
}

/// CRC-32 as zip wants it.
fn check_sum(content: &[u8]) -> u32 {
    let sum = content.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            let carry = sum & 1;
            (sum >> 1) ^ (0xEDB8_8320 & carry.wrapping_neg())
        })
    });
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_is_the_known_one() {
        assert_eq!(check_sum(b"123456789"), 0xCBF4_3926);
        assert!(pack(&BTreeMap::new()).starts_with(b"PK\x05\x06"));
    }
}
