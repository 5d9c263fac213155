//! What of an error of serde's may be told.

use super::{FieldError, Pointer, UNEXPECTED};

/// The field, and what is wrong with it, out of a message that may have values of the peer's in it.
///
/// serde has no other way to tell: what its formats say goes through [`serde::de::Error`], whose provided methods write text. What
/// comes after the last `, expected ` in it is the visitor's own, and so is the name of a missing field. All else is left out.
pub(crate) fn of(message: &str, mut at: Pointer) -> FieldError {
    let message = without_position(message);
    let quoted = |prefix| {
        let rest = message.strip_prefix(prefix)?;
        rest.strip_suffix('`')
    };
    if let Some(name) = quoted("missing field `") {
        at.push(name);
        return FieldError::at(at, "is missing");
    }
    if quoted("duplicate field `").is_some() {
        return FieldError::at(at, "has a field twice");
    }
    let is_of_serde = [
        "invalid type: ",
        "invalid value: ",
        "invalid length ",
        "unknown field ",
        "unknown variant ",
    ];
    if is_of_serde.iter().any(|it| message.starts_with(it)) {
        if let Some((_, expected)) = message.rsplit_once(", expected ") {
            let unknown = if message.starts_with("unknown field") {
                "is unknown; "
            } else {
                ""
            };
            return FieldError::at(at, format!("{unknown}expected {expected}"));
        }
    }
    FieldError::at(at, UNEXPECTED)
}

/// Without ` at line 1 column 2`, which `serde_json` writes after everything, and a value may have anywhere.
fn without_position(message: &str) -> &str {
    let is_digit = |c: char| c.is_ascii_digit();
    let strip = |text: &'_ str| -> Option<usize> {
        let text = text.trim_end_matches(is_digit).strip_suffix(" column ")?;
        let text = text.trim_end_matches(is_digit).strip_suffix(" at line ")?;
        Some(text.len())
    };
    &message[..strip(message).unwrap_or(message.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_left_out() {
        for (message, expected) in [
            (
                "invalid type: string \"secret\", expected u32 at line 1 column 9",
                "#/a expected u32",
            ),
            (
                "invalid type: string \"secret, expected secret\", expected u32",
                "#/a expected u32",
            ),
            (
                "invalid type: string \"x, expected secret at line 1 column 2\", expected u32",
                "#/a expected u32",
            ),
            ("missing field `b` at line 1 column 2", "#/a/b is missing"),
            (
                "unknown variant `secret`, expected one of `x`, `y`",
                "#/a expected one of `x`, `y`",
            ),
            (
                "unknown field `secret`, expected `x` or `y`",
                "#/a is unknown; expected `x` or `y`",
            ),
            ("duplicate field `b`", "#/a has a field twice"),
            (
                "`secret` is no date, expected secret",
                "#/a has a value that is not allowed here",
            ),
        ] {
            let mut at = Pointer::root();
            at.push("a");
            assert_eq!(of(message, at).to_string(), expected, "{message}");
        }
    }
}
