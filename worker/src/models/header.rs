//! The header of a safetensors file: parsed, and checked as strictly as the library that will load it.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

use super::verdict::Fault;

/// The longest header that the safetensors library accepts, in bytes.
pub(super) const MAX_HEADER_BYTES: u64 = 100_000_000;

/// One tensor, as the header describes it.
#[derive(Debug, Deserialize)]
pub(super) struct Tensor {
    dtype: String,
    pub(super) shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl Tensor {
    /// Number of weights; none where the shape is beyond all numbers.
    pub(super) fn elements(&self) -> Option<u64> {
        self.shape
            .iter()
            .try_fold(1_u64, |all, side| all.checked_mul(*side))
    }

    fn bytes(&self, bits: u64) -> Option<u64> {
        let bits = self.elements()?.checked_mul(bits)?;
        bits.is_multiple_of(8).then_some(bits / 8)
    }
}

/// A header that makes sense in itself.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) tensors: BTreeMap<String, Tensor>,
    /// Bytes of data that must follow the header.
    pub(super) data_bytes: u64,
}

impl Header {
    /// Parses the bytes between the length and the data.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(bytes).map_err(|_| Fault::HeaderNotUtf8)?;
        let mut header: Self = serde_json::from_str(text).map_err(|error| Fault::HeaderNotJson {
            detail: error.to_string(),
        })?;
        header.data_bytes = header.lay_out()?;
        Ok(header)
    }

    /// Lays the tensors one behind the other; gives their common length.
    fn lay_out(&self) -> Result<u64, Fault> {
        let mut in_order: Vec<(&String, &Tensor)> = self.tensors.iter().collect();
        in_order.sort_by_key(|(_, tensor)| tensor.data_offsets);
        let mut end = 0;
        for (name, tensor) in in_order {
            let bits = bits(&tensor.dtype).ok_or_else(|| Fault::UnknownDtype {
                dtype: tensor.dtype.chars().take(32).collect(),
            })?;
            let (from, to) = tensor.data_offsets;
            if from != end || to < from {
                return Err(Fault::BadOffsets { tensor: short(name) });
            }
            if tensor.bytes(bits) != Some(to - from) {
                return Err(Fault::WrongLength { tensor: short(name) });
            }
            end = to;
        }
        Ok(end)
    }
}

/// Names are shown to people; a hostile one may be megabytes long.
fn short(name: &str) -> String {
    name.chars().take(200).collect()
}

const fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype.as_bytes() {
        b"F4" => 4,
        b"F6_E2M3" | b"F6_E3M2" => 6,
        b"BOOL" | b"U8" | b"I8" | b"F8_E5M2" | b"F8_E4M3" | b"F8_E8M0" | b"F8_E4M3FNUZ" | b"F8_E5M2FNUZ" => 8,
        b"I16" | b"U16" | b"F16" | b"BF16" => 16,
        b"I32" | b"U32" | b"F32" => 32,
        b"I64" | b"U64" | b"F64" | b"C64" => 64,
        _ => return None,
    })
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        header.metadata = map.next_value::<Option<_>>()?.unwrap_or_default();
                    } else {
                        header.tensors.insert(name, map.next_value()?);
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
