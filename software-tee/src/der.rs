//! Writes DER: the few types that certificates and revocation lists need (X.690). Not here: reading
//! it, and what the structures mean (`pki`).

/// One value: tag, length, contents.
pub fn value(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let mut out = vec![tag];
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        out.push(0x80 | bytes.len() as u8);
        out.extend(bytes);
    }
    out.extend(contents);
    out
}

/// SEQUENCE of values.
pub fn sequence(values: &[&[u8]]) -> Vec<u8> {
    value(0x30, &values.concat())
}

/// SET of one value.
pub fn set(only: &[u8]) -> Vec<u8> {
    value(0x31, only)
}

/// A context-specific, explicit tag.
pub fn explicit(number: u8, inner: &[u8]) -> Vec<u8> {
    value(0xa0 | number, inner)
}

/// INTEGER that is not negative, from big-endian bytes.
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let magnitude = &bytes[zeros.min(bytes.len().saturating_sub(1))..];
    match magnitude.first() {
        Some(0x80..) => value(0x02, &[&[0], magnitude].concat()),
        _ => value(0x02, magnitude),
    }
}

/// INTEGER.
pub fn number(number: u64) -> Vec<u8> {
    integer(&number.to_be_bytes())
}

/// OBJECT IDENTIFIER.
pub fn oid(arcs: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    let first = arcs[0] * 40 + arcs[1];
    for arc in std::iter::once(&first).chain(&arcs[2..]) {
        let groups = (64 - (arc | 1).leading_zeros()).div_ceil(7);
        for group in (0..groups).rev() {
            let more = if group > 0 { 0x80 } else { 0 };
            out.push((arc >> (7 * group) & 0x7f) as u8 | more);
        }
    }
    value(0x06, &out)
}

/// OCTET STRING.
pub fn octets(bytes: &[u8]) -> Vec<u8> {
    value(0x04, bytes)
}

/// BIT STRING, the last `unused` bits of which do not count.
pub fn bits(unused: u8, bytes: &[u8]) -> Vec<u8> {
    value(0x03, &[&[unused], bytes].concat())
}

/// BOOLEAN.
pub fn boolean(yes: bool) -> Vec<u8> {
    value(0x01, &[if yes { 0xff } else { 0 }])
}

/// ENUMERATED.
pub fn enumerated(number: u8) -> Vec<u8> {
    value(0x0a, &[number])
}

/// UTF8String.
pub fn utf8(text: &str) -> Vec<u8> {
    value(0x0c, text.as_bytes())
}

/// PrintableString.
pub fn printable(text: &str) -> Vec<u8> {
    value(0x13, text.as_bytes())
}

/// UTCTime until 2049, GeneralizedTime after (RFC 5280 4.1.2.5).
pub fn time(unix: u64) -> Vec<u8> {
    let ([year, month, day], [hour, minute, second]) = civil(unix);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if year < 2050 {
        value(0x17, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        value(0x18, format!("{year:04}{rest}").as_bytes())
    }
}

/// A time as JSON statements write it (RFC 3339).
pub fn rfc3339(unix: u64) -> String {
    let ([year, month, day], [hour, minute, second]) = civil(unix);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Date and time of day of a moment, UTC.
fn civil(unix: u64) -> ([u64; 3], [u64; 3]) {
    let mut days = unix / 86_400;
    let mut year = 1970;
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let year_days = |year| if is_leap(year) { 366 } else { 365 };
    while days >= year_days(year) {
        days -= year_days(year);
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let second = unix % 86_400;
    ([year, month, days + 1], [second / 3_600, second / 60 % 60, second % 60])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_the_standard_says() {
        assert_eq!(oid(&[1, 2, 840, 10045, 2, 1]), [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(number(127), [2, 1, 127]);
        assert_eq!(value(4, &[7; 200])[..3], [4, 0x81, 200]);
        assert_eq!(value(4, &[7; 300])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn writes_dates() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400 + 86_399), "2000-02-29T23:59:59Z");
        assert_eq!(rfc3339(1_750_377_600), "2025-06-20T00:00:00Z");
        assert_eq!(time(1_750_377_600), [&[0x17, 13], &b"250620000000Z"[..]].concat());
        assert_eq!(time(4_102_444_800)[..6], [&[0x18, 15], &b"2100"[..]].concat());
    }
}
