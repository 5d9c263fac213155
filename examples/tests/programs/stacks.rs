//! A stack, and one layer of it: where one begins.

use crate::{assert_contains, printed};

#[test]
fn first_stack() {
    assert_contains(
        &printed("first_stack", &[]),
        &["user 1 is Ada", "/v1/users/2", "404", "0 requests were cut"],
    );
}

#[test]
fn one_layer() {
    assert_contains(
        &printed("one_layer", &[]),
        &[
            "GET /: 200 OK",
            "hello",
            "GET /stuck: 504 Gateway Timeout",
            r#""status":504"#,
        ],
    );
}
