//! Calling others.

use crate::{assert_contains, printed};

#[test]
fn first_client() {
    assert_contains(
        &printed("first_client", &[]),
        &[
            "it ended at /home",
            "it came by HTTP/1.1",
            "hello, user=Ada",
            "cookies: 1",
            "attempts: 2",
            "note 1: buy milk",
            "/notes/9: the server answered 404 Not Found",
            // Without its query.
            "GET http://127.0.0.1:9/: connection failed",
        ],
    );
}

#[test]
fn json() {
    assert_contains(
        &printed("json", &[]),
        &[
            "created Ada",
            "422 Unprocessable Entity: a user needs a name (name)",
            "/users: the server answered 422 Unprocessable Entity",
            r#"with {"title":"a user needs a name","field":"name"}"#,
            "form: q=rain+%26+sun&page=2",
            "form: q=rain&page=3",
            "News: rain, sun",
            "the response body is not the JSON of a `json::User`, at `name`",
            "because: invalid type: null, expected a string",
        ],
    );
}

#[test]
fn uploads() {
    assert_contains(
        &printed("uploads", &[]),
        &[
            "25 % sent",
            "100 % sent",
            r#"file: 1048576 bytes of image/png, announced "1048576""#,
            "form: 1048844 bytes of multipart/form-data, announced \"1048844\"",
            "stream: 7890 bytes of no type, not announced",
            "refused before it was sent: 403 Forbidden",
            "cannot be read",
        ],
    );
}

#[test]
fn downloads() {
    assert_contains(
        &printed("downloads", &[]),
        &[
            "all 300000 bytes are there",
            "saved 300000 bytes, in pieces: true",
            "the response body is larger than the limit of 1000 bytes",
            "half a file: false",
            "broke off, 50000 bytes are here",
            "broke off, 100000 bytes are here",
            "resumed: 300000 bytes, the same: true",
        ],
    );
}

#[test]
fn cookies() {
    assert_contains(
        &printed("cookies", &[]),
        &[
            "first run: 0 loaded, welcome, stranger, 1 of 2 saved",
            "second run: 1 loaded, welcome back, visitor=7, 1 of 2 saved",
            "sent: theme=dark",
            "theme is for 127.0.0.1 alone: true",
            "refused: the cookie was refused: `co.uk` is a public suffix",
            "without: welcome, stranger, and there are 1",
        ],
    );
}

#[test]
fn redirects() {
    assert_contains(
        &printed("redirects", &[]),
        &[
            "POST /form: 303 See Other",
            "and then /thanks",
            "thank you",
            "the stranger sees: accept-language, host\n",
            "not followed: 307 Temporary Redirect",
            "/loop: loop true, limit false, policy false",
            "/count/0: loop false, limit true, policy false",
            "/away: loop false, limit false, policy true",
        ],
    );
}

#[test]
fn proxies() {
    let text = printed("proxies", &[]);
    assert_contains(
        &text,
        &[
            "through the proxy: proxy",
            "through the other one: other",
            "through none: nothing",
            "one request: other",
            "one directly: nothing",
            "invalid https_proxy `htp://x`",
            "without credentials: 407 Proxy Authentication Required",
            "a proxy that is gone: proxy true, unsent true",
        ],
    );
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn sse() {
    assert_contains(
        &printed("sse", &[]),
        &[
            "1: A at 120",
            "2: message: the market / is open",
            "3: B at 95",
            "4: message: the market / is closed",
            "no more, after event 4",
            "afterwards: 1 event",
            "one response: 2 events",
            "the response is `text/plain`, and not `text/event-stream`",
        ],
    );
}

#[test]
fn pool_tuning() {
    assert_contains(
        &printed("pool_tuning", &[]),
        &[
            "prewarmed: 2",
            "six calls: 2 dialed, 0 waiting",
            "events: 2 opened, at least four waited: true",
            "twelve calls: 2 refused",
            "in a hurry: timeout true, acquire true",
            "drained: 0 cut, and the last call was done",
            "afterwards: ",
            "it was told to drain",
        ],
    );
}

#[test]
fn mocks() {
    assert_contains(
        &printed("mocks", &[]),
        &[
            "Oslo: snow",
            "asked for http://weather.example/v1/today?city=Oslo",
            "Rome: sun",
            "cut: body true",
            "hung: timeout true",
            "Bern: fog",
            "recorded: 1",
            "with the secret: false",
            "Bern again: fog",
        ],
    );
}

#[test]
fn over_hyper_util() {
    assert_contains(
        &printed("over_hyper_util", &[]),
        &["it ended at /", "hello, user=7", "hello, user=7"],
    );
}
