//! When something is tried again and how long is waited before: bounded, longer each time, and
//! never the same for everybody.

use chrono::{DateTime, Utc};
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

/// How often a request or a push is tried in all.
pub const ATTEMPTS: u32 = 5;
/// The pause before the second attempt; it doubles from there.
const FIRST: Duration = Duration::from_secs(1);
/// The longest that a registry may ask us to wait.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Whether the same request may have another answer later (RFC 9110; 429 is RFC 6585).
pub(super) fn passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}

/// The pause after the attempt `attempt` (from 1): half of it is by chance, so that those who
/// failed together don't come back together.
pub fn pause(attempt: u32) -> Duration {
    // The keys of a new hasher are the standard library's only random numbers.
    let chance = std::collections::hash_map::RandomState::new().build_hasher().finish();
    jittered(attempt, (chance % 1000) as u32)
}

fn jittered(attempt: u32, thousandths: u32) -> Duration {
    let whole = FIRST * 2_u32.pow(attempt.saturating_sub(1).min(5));
    whole / 2 + whole * thousandths / 2000
}

/// `Retry-After`: seconds, or the date until which to wait (RFC 9110, section 10.2.3).
pub(super) fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(value.trim()).ok()?;
    Some((until.with_timezone(&Utc) - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_differ_by_half() {
        let check = |attempt, thousandths, expected: u64| {
            assert_eq!(jittered(attempt, thousandths), Duration::from_millis(expected));
        };
        check(1, 0, 500);
        check(1, 1000, 1000);
        check(2, 0, 1000);
        check(3, 500, 3000);
        check(4, 1000, 8000);
        check(40, 1000, 32_000);
        let all: Vec<Duration> = (0..20).map(|_| pause(4)).collect();
        assert!(all.iter().any(|other| other != &all[0]), "{all:?}");
    }

    #[test]
    fn a_registry_says_how_long_to_wait_in_seconds_or_by_a_date() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(retry_after(text, now), expected.map(Duration::from_secs), "{text}");
        };
        check("7", Some(7));
        check(" 0 ", Some(0));
        check("Tue, 14 Nov 2023 22:13:30 GMT", Some(10));
        check("Tue, 14 Nov 2023 22:13:00 GMT", Some(0));
        check("soon", None);
        check("-1", None);
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        let passes = [408, 429, 500, 502, 503, 504];
        let stays = [200, 202, 301, 400, 401, 403, 404, 405, 410, 413, 415, 422];
        assert!(passes.into_iter().all(passing) && !stays.into_iter().any(passing));
    }
}
