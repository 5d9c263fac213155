//! Chooses among media types by an `Accept` field (RFC 9110 section 12.5.1).

use super::{
    MediaType,
    media_type::{Parts, parts},
    parameters::quoted_len,
};

/// The most ranges that are read. Browsers send fewer than ten.
const MAX_RANGES: usize = 64;

/// The offer that fits best by the values of `Accept`, of which there may be several or none. `None` if nothing fits.
///
/// See the [module](super) for the rules. It looks at the first 64 ranges, and for each at every offer.
///
/// ```
/// use bartizan_listener::negotiation::{MediaType, negotiate};
///
/// let offers: Vec<MediaType> = ["text/html", "application/json"].map(|t| t.parse().unwrap()).into();
/// let chosen = |accept| negotiate([accept], &offers).map(MediaType::as_str);
/// assert_eq!(chosen("application/json, text/html;q=0.9"), Some("application/json"));
/// assert_eq!(chosen("*/*"), Some("text/html"));
/// assert_eq!(chosen("image/*"), None);
/// ```
#[expect(
    single_use_lifetimes,
    reason = "an argument's own lifetime cannot be elided here yet"
)]
pub fn negotiate<'a, 'o>(
    accept: impl IntoIterator<Item = &'a str>,
    offers: &'o [MediaType],
) -> Option<&'o MediaType> {
    let elements = accept.into_iter().flat_map(elements).take(MAX_RANGES);
    let ranges: Vec<(Parts<'_>, u16)> = elements.filter_map(weighted).collect();
    if ranges.is_empty() {
        return offers.first();
    }
    let weight = |offer: &MediaType| {
        let offer = offer.parts();
        let matching = ranges
            .iter()
            .filter_map(|(range, weight)| Some((range.matches(&offer)?, *weight)));
        // Of two that are as close, the greater weight.
        matching.max().map_or(0, |(_, weight)| weight)
    };
    let mut best = None;
    for offer in offers {
        let weight = weight(offer);
        if weight > best.map_or(0, |(weight, _)| weight) {
            best = Some((weight, offer));
        }
    }
    best.map(|(_, offer)| offer)
}

/// Splits a list at its commas, but not at those in quotes.
pub(crate) fn elements(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut at = 0;
        while at < text.len() {
            match text.as_bytes()[at] {
                b',' => {
                    rest = Some(&text[at + 1..]);
                    return Some(&text[..at]);
                }
                // A quote without its end goes on to the end of the list: what is in it is not ours to guess.
                b'"' => at += quoted_len(&text[at..]).unwrap_or(text.len() - at),
                _ => at += 1,
            }
        }
        rest = None;
        Some(text)
    })
    .filter(|element| !element.trim_matches([' ', '\t']).is_empty())
}

fn weighted(element: &str) -> Option<(Parts<'_>, u16)> {
    let mut parts = parts(element)?;
    let weight = match parts.parameters.take_weight() {
        Some(value) => thousandths(&value.text())?,
        None => 1000,
    };
    Some((parts, weight))
}

/// A weight (RFC 9110 section 12.4.2) in thousandths.
pub(crate) fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_fraction = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !is_fraction {
        return None;
    }
    let digit = |at| match fraction.as_bytes().get(at) {
        Some(digit) => u16::from(digit - b'0'),
        None => 0,
    };
    match (whole, digit(0) * 100 + digit(1) * 10 + digit(2)) {
        ("0", fraction) => Some(fraction),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(accept: &[&str], offers: &[&str]) -> Option<String> {
        let offers: Vec<MediaType> = offers
            .iter()
            .map(|offer| offer.parse().expect("a media type"))
            .collect();
        negotiate(accept.iter().copied(), &offers).map(ToString::to_string)
    }

    #[test]
    fn the_table_of_rfc_9110_section_12_5_1() {
        let accept = "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5";
        let weight = |offer: &str| {
            let ranges: Vec<_> = elements(accept).filter_map(weighted).collect();
            let offer = offer.parse::<MediaType>().expect("a media type");
            let offer = offer.parts();
            let best = ranges
                .iter()
                .filter_map(|(r, w)| Some((r.matches(&offer)?, *w)));
            best.max().map_or(0, |(_, weight)| weight)
        };
        for (offer, expected) in [
            ("text/plain;format=flowed", 1000),
            ("text/plain", 700),
            ("text/html", 300),
            ("image/jpeg", 500),
            ("text/plain;format=fixed", 400),
            ("text/html;level=3", 300),
        ] {
            assert_eq!(weight(offer), expected, "{offer}");
        }
    }

    #[test]
    fn who_wins() {
        let offers = &["text/html", "application/json", "text/plain"][..];
        for (accept, expected) in [
            (&[][..], Some("text/html")),
            (&[""], Some("text/html")),
            (&["*/*"], Some("text/html")),
            (&["application/*"], Some("application/json")),
            (
                &["text/*;q=0.5, application/json;q=0.6"],
                Some("application/json"),
            ),
            (&["TEXT/PLAIN"], Some("text/plain")),
            (&["text/plain", "text/html;q=0.1"], Some("text/plain")),
            (&["*/*, text/html;q=0"], Some("application/json")),
            (&["text/html;q=0"], None),
            (&["*/*;q=0"], None),
            (&["image/png"], None),
            (&["nonsense"], Some("text/html")),
            (&["nonsense, text/plain"], Some("text/plain")),
            (&["text/html;q=2, text/plain"], Some("text/plain")),
            (
                &["text/html;q=\"0.1\", text/plain;q=0.2"],
                Some("text/plain"),
            ),
            (&["text/html;level=1"], None),
            (&["image/png;a=\",text/html,\""], None),
        ] {
            assert_eq!(chosen(accept, offers).as_deref(), expected, "{accept:?}");
        }
    }

    #[test]
    fn no_more_than_so_many_are_read() {
        let padding = "image/png,".repeat(MAX_RANGES);
        assert_eq!(
            chosen(&[&format!("{padding}text/html")], &["text/html"]),
            None
        );
    }

    #[test]
    fn weights() {
        for (text, expected) in [
            ("1", Some(1000)),
            ("1.", Some(1000)),
            ("1.000", Some(1000)),
            ("0", Some(0)),
            ("0.5", Some(500)),
            ("0.001", Some(1)),
            ("1.001", None),
            ("0.0001", None),
            ("2", None),
            ("", None),
            (".5", None),
            ("-0", None),
            ("0.+5", None),
        ] {
            assert_eq!(thousandths(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_field_is_read_without_a_panic(values in proptest::collection::vec("[ -~\t\u{e9}]{0,64}", 0..4)) {
            let values: Vec<_> = values.iter().map(String::as_str).collect();
            let offers = ["text/html", "application/json"];
            let chosen = chosen(&values, &offers);
            prop_assert!(chosen.is_none_or(|chosen| offers.contains(&&*chosen)));
        }

        #[test]
        fn what_is_listed_alone_is_what_is_chosen(at in 0_usize..3, q in 1_u16..=1000) {
            let offers = ["text/html", "application/json", "text/plain"];
            let accept = format!("{};q={}.{:03}", offers[at], q / 1000, q % 1000);
            let chosen = chosen(&[&accept], &offers);
            prop_assert_eq!(chosen.as_deref(), Some(offers[at]));
        }
    }
}
