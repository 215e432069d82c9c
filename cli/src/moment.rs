//! Points in time: as people type them, and as they are shown to people.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use proto::moment::Millis;
use runtime::settings::Setting as _;

/// Reads `2026-05-01T08:00:00Z` (RFC 3339, with any offset) or `+10m` (from now on).
pub(crate) fn parse(text: &str, now: Millis) -> Result<Millis, String> {
    if let Some(from_now) = text.trim().strip_prefix('+') {
        let wait = Duration::parse(from_now)
            .map_err(|fault| format!("{text:?} is not a time from now such as +30s, +10m or +2h: {fault}"))?;
        let wait = Millis::try_from(wait.as_millis()).map_err(|_| format!("{text:?} is too far away"))?;
        return now
            .checked_add(wait)
            .ok_or_else(|| format!("{text:?} is too far away"));
    }
    text.trim()
        .parse::<Timestamp>()
        .map(Timestamp::as_millisecond)
        .map_err(|error| format!("{text:?} is neither a time such as 2026-05-01T08:00:00Z nor one from now such as +10m: {error}"))
}

/// The form in which JSON carries a point in time.
pub(crate) fn rfc3339(at: Millis) -> String {
    Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

/// Date and time to the second in a zone, for details.
pub(crate) fn local(at: Millis, zone: &TimeZone) -> String {
    Timestamp::from_millisecond(at).map_or_else(
        |_| at.to_string(),
        |at| {
            at.to_zoned(zone.clone())
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string()
        },
    )
}

/// Time to the millisecond in a zone, for timelines.
pub(crate) fn clock_time(at: Millis, zone: &TimeZone) -> String {
    Timestamp::from_millisecond(at).map_or_else(
        |_| at.to_string(),
        |at| at.to_zoned(zone.clone()).strftime("%H:%M:%S%.3f").to_string(),
    )
}

/// A span in its largest unit, for lists: `8s`, `12m`, `5h`, `3d`.
pub(crate) fn span(millis: Millis) -> String {
    let seconds = millis.max(0) / 1_000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_from_now() {
        assert_eq!(parse("+10m", 1_000), Ok(601_000));
        assert_eq!(parse("+1.5s", 0), Ok(1_500));
        assert_eq!(parse("1970-01-01T01:00:01+01:00", 7), Ok(1_000));
        for wrong in ["", "10m", "+10", "+ten", "2026-05-01", "tomorrow"] {
            assert!(parse(wrong, 0).is_err(), "{wrong}");
        }
        assert!(parse("+1d", Millis::MAX).is_err());
    }

    #[test]
    fn what_is_sent_can_be_read_back() {
        assert_eq!(parse(&rfc3339(1_234_567_890_123), 0), Ok(1_234_567_890_123));
    }

    #[test]
    fn people_see_short_times() {
        assert_eq!(local(0, &TimeZone::UTC), "1970-01-01 00:00:00");
        assert_eq!(clock_time(61_007, &TimeZone::UTC), "00:01:01.007");
        let spans = [-5, 59_999, 60_000, 7_200_000, 200_000_000].map(span);
        assert_eq!(spans, ["0s", "59s", "1m", "2h", "2d"]);
    }
}
