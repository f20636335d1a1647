//! Dates as people write them, UTC. Not here: time zones, clocks of networks.

use eyre::{Result, WrapErr};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970 of a date (`2025-06-20`), which stands for its midnight, or a date with time of
/// day (`2025-06-20T12:00:00Z`).
pub fn parse(text: &str) -> Result<u64, String> {
    let error = || format!("{text} is not a date: expected 2025-06-20 or 2025-06-20T12:00:00Z");
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z').ok_or_else(error)?),
        None => (text, "00:00:00"),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2]).ok_or_else(error)?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2]).ok_or_else(error)?;
    let is_month = (1..=12).contains(&month) && year >= 1970;
    let is_time = hour < 24 && minute < 60 && second < 60;
    if !is_month || !is_time || day == 0 || day > days_of_month(year, month) {
        return Err(error());
    }
    let years: u64 = (1970..year).map(days_of_year).sum();
    let months: u64 = (1..month).map(|month| days_of_month(year, month)).sum();
    Ok((years + months + day - 1) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// The other way round, with time of day.
pub fn format(unix: u64) -> String {
    let (mut days, second) = (unix / 86_400, unix % 86_400);
    let (mut year, mut month) = (1970, 1);
    // Beyond this nobody reads a date, and counting would take long.
    if days > 3_000_000 {
        return format!("second {unix}");
    }
    while days >= days_of_year(year) {
        days -= days_of_year(year);
        year += 1;
    }
    while days >= days_of_month(year, month) {
        days -= days_of_month(year, month);
        month += 1;
    }
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
}

/// Now, by this machine's clock.
pub fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH).wrap_err("the clock is before 1970")?.as_secs())
}

/// Three numbers of fixed lengths.
fn numbers(text: &str, separator: char, lengths: [usize; 3]) -> Option<[u64; 3]> {
    let parts: Vec<&str> = text.split(separator).collect();
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_fitting = parts.len() == 3
        && parts.iter().zip(lengths).all(|(part, length)| part.len() == length && is_number(part));
    let parse = |index: usize| parts.get(index)?.parse().ok();
    is_fitting.then_some([parse(0)?, parse(1)?, parse(2)?])
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_written() {
        assert_eq!(parse("1970-01-01"), Ok(0));
        assert_eq!(parse("2025-06-20"), Ok(1_750_377_600));
        assert_eq!(parse("2000-02-29T23:59:59Z"), Ok(951_868_799));
        for unix in [0, 951_868_799, 1_750_377_600, 4_102_444_800] {
            assert_eq!(parse(&format(unix)), Ok(unix));
        }
        assert_eq!(format(u64::MAX), "second 18446744073709551615");
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "today",
            "2025-6-20",
            "2025-02-29",
            "2025-13-01",
            "2025-00-01",
            "1969-12-31",
            "2025-06-31",
            "2025-06-20T12:00:00",
            "2025-06-20T24:00:00Z",
            "2025-06-2é",
            "+025-06-20",
            "2025-06-20T12:00Z",
            "99999-01-01",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
