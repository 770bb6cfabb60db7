//! Durations as people write them: `90s`, `30m`, `12h`, `7d`.

use std::time::Duration;

/// Parses a whole number and a unit, such as `30m`; zero is refused.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration such as `90s`, `30m`, `12h` or `7d`");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let digits = &text[..text.len() - unit.len_utf8()];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    match count.checked_mul(seconds) {
        None | Some(0) => Err(wrong()),
        Some(total) => Ok(Duration::from_secs(total)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_and_nothing_else() {
        let check = |text: &str, expected: Option<u64>| {
            let parsed = parse(text).ok().map(|duration| duration.as_secs());
            assert_eq!(parsed, expected, "{text:?}");
        };
        check("90s", Some(90));
        check("30m", Some(1_800));
        check("1h", Some(3_600));
        check("7d", Some(604_800));
        for wrong in [
            "",
            "h",
            "1",
            "0h",
            "-1h",
            "+1h",
            "1.5h",
            "1h30m",
            " 1h",
            "1 h",
            "1w",
            "1H",
            "1é",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            check(wrong, None);
        }
    }
}
