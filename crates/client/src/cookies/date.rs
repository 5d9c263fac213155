//! Dates as servers write them (RFC 6265 section 5.1.1).

use std::time::{Duration, SystemTime};

/// The time that `text` means. `None` if it means none.
///
/// The rules look for a time, a day, a month and a year in any order, and take no notice of the rest: of the day of the week, and of
/// the time zone, which is always taken for UTC.
pub(super) fn parse(text: &[u8]) -> Option<SystemTime> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(|byte| is_delimiter(*byte)) {
        // Each token is the first of these that is still missing and that it can be.
        if time.is_none() {
            time = hms(token);
            if time.is_some() {
                continue;
            }
        }
        if day.is_none() {
            day = digits(token, 1, 2);
            if day.is_some() {
                continue;
            }
        }
        if month.is_none() {
            month = month_of(token);
            if month.is_some() {
                continue;
            }
        }
        if year.is_none() {
            year = digits(token, 2, 4);
        }
    }
    let ((hour, minute, second), day, month, year) = (time?, day?, month?, year?);
    let year = match year {
        70..=99 => year + 1900,
        0..=69 => year + 2000,
        _ => year,
    };
    if year < 1601 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    if day == 0 || day > days_in(month, year) {
        return None;
    }
    let days = days_from_epoch(year, month, day);
    let seconds = days * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
    // What was over before 1970 is over.
    let seconds = u64::try_from(seconds).unwrap_or(0);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

const fn is_delimiter(byte: u8) -> bool {
    matches!(byte, 0x09 | 0x20..=0x2f | 0x3b..=0x40 | 0x5b..=0x60 | 0x7b..=0x7e)
}

/// The number that a token starts with, if it has that many digits.
fn digits(token: &[u8], least: usize, most: usize) -> Option<u32> {
    let count = token
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if count < least || count > most {
        return None;
    }
    let number = token[..count]
        .iter()
        .fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    Some(number)
}

/// `h:m:s`, each of one or two digits, and whatever comes after it.
fn hms(token: &[u8]) -> Option<(u32, u32, u32)> {
    let mut fields = token.splitn(3, |byte| *byte == b':');
    let (hour, minute, second) = (fields.next()?, fields.next()?, fields.next()?);
    let whole = |field: &[u8]| digits(field, 1, 2).filter(|_| field.iter().all(u8::is_ascii_digit));
    Some((whole(hour)?, whole(minute)?, digits(second, 1, 2)?))
}

fn month_of(token: &[u8]) -> Option<u32> {
    const MONTHS: [&[u8; 3]; 12] = [
        b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov",
        b"dec",
    ];
    let name = token.get(..3)?;
    let months = MONTHS.iter().zip(1..);
    months
        .into_iter()
        .find_map(|(month, number)| month.eq_ignore_ascii_case(name).then_some(number))
}

const fn days_in(month: u32, year: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counted in years that begin in March, so that the leap day is the last.
fn days_from_epoch(year: u32, month: u32, day: u32) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let month = i64::from(month);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * from_march + 2) / 5 + i64::from(day) - 1;
    let leap_days = year / 4 - year / 100 + year / 400;
    // From 1 March of the year 0 to 1 January 1970.
    365 * year + leap_days + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<String> {
        parse(text.as_bytes()).map(httpdate::fmt_http_date)
    }

    #[test]
    fn dates_as_servers_write_them() {
        for (text, date) in [
            // RFC 9110 section 5.6.7: the three that were ever right.
            (
                "Sun, 06 Nov 1994 08:49:37 GMT",
                "Sun, 06 Nov 1994 08:49:37 GMT",
            ),
            (
                "Sunday, 06-Nov-94 08:49:37 GMT",
                "Sun, 06 Nov 1994 08:49:37 GMT",
            ),
            ("Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 GMT"),
            // Any order, any delimiters, any case.
            ("08:49:37 6 1994 NOVEMBER", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("1994 november 6 8:49:37", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Nov 6 94 08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("6/Nov\\1994\"08:49:37\"", "Sun, 06 Nov 1994 08:49:37 GMT"),
            (", 6-nove-94 8:49:37", "Sun, 06 Nov 1994 08:49:37 GMT"),
            (
                "6-Sun, Nov 08:49:37 GMT 94",
                "Sun, 06 Nov 1994 08:49:37 GMT",
            ),
            // What is left over does not matter, and neither does a wrong weekday.
            (
                "Someday, 6 Nov 1994 08:49:37 GMT-0500 (EST)",
                "Sun, 06 Nov 1994 08:49:37 GMT",
            ),
            (
                "6 Nov 1994 08:49:37 1:2:3 7 Dec 1995",
                "Sun, 06 Nov 1994 08:49:37 GMT",
            ),
            (
                "6 Nov 1994 a:b :: 08:49:37x",
                "Sun, 06 Nov 1994 08:49:37 GMT",
            ),
            ("6th Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT"),
            // Years of two digits, and of three.
            ("1 Jan 70 0:0:0", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("1 Jan 69 0:0:0", "Tue, 01 Jan 2069 00:00:00 GMT"),
            ("29 Feb 2000 23:59:59", "Tue, 29 Feb 2000 23:59:59 GMT"),
            ("29 Feb 24 0:0:0", "Thu, 29 Feb 2024 00:00:00 GMT"),
            ("31 Dec 9999 23:59:59", "Fri, 31 Dec 9999 23:59:59 GMT"),
            // Before the epoch: over, whenever that was.
            ("1 Jan 1601 0:0:0", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            assert_eq!(at(text).as_deref(), Some(date), "{text}");
        }
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "soon",
            "6 Nov 1994",
            "Nov 1994 08:49:37",
            "6 1994 08:49:37",
            "6 Nov 08:49:37",
            "0 Nov 1994 08:49:37",
            "31 Nov 1994 08:49:37",
            "29 Feb 1900 08:49:37",
            "29 Feb 2023 08:49:37",
            "32 Dec 1994 08:49:37",
            "98 Nov 17 08:49:37",
            "006 Nov 1994 08:49:37",
            "6 Nov 1600 08:49:37",
            "6 Nov 199 08:49:37",
            "6 Nov 31841 08:49:37",
            "6 Nov 99999999999 08:49:37",
            "6 Nov 1994 24:49:37",
            "6 Nov 1994 08:60:37",
            "6 Nov 1994 08:49:60",
            "6 Nov 1994 91:22:33 08:49:37",
            "6 Nov 1994 08:49",
            "6 Nov 1994 008:49:37",
            "6 Nov 1994 08: 49:37",
            "6 No 1994 08:49:37",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_another_library_writes_is_read(seconds in 0_u64..253_402_300_800) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(parse(httpdate::fmt_http_date(time).as_bytes()), Some(time));
        }

        #[test]
        fn any_bytes_are_read_or_not(text: Vec<u8>) {
            let _ = parse(&text);
        }
    }
}
