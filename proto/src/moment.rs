//! Points in time on the wire: milliseconds since 1970 inside, `google.protobuf.Timestamp` outside.

use pbjson_types::Timestamp;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;

/// The wire form of a point in time.
pub fn timestamp(at: Millis) -> Timestamp {
    let nanos = at.rem_euclid(1000) * 1_000_000;
    Timestamp {
        seconds: at.div_euclid(1000),
        nanos: i32::try_from(nanos).unwrap_or_default(),
    }
}

/// The point in time that a wire timestamp stands for, rounded down to a millisecond.
pub fn millis(at: &Timestamp) -> Millis {
    at.seconds
        .saturating_mul(1000)
        .saturating_add(i64::from(at.nanos) / 1_000_000)
}

/// As [`millis`], for a field that may be absent.
pub fn maybe_millis(at: Option<&Timestamp>) -> Option<Millis> {
    at.map(millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_moment_survives_the_wire(at in -62_135_596_800_000_i64..253_402_300_799_999) {
            prop_assert_eq!(millis(&timestamp(at)), at);
        }
    }
}
