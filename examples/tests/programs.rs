//! Every program of the cookbook runs, and does what the cookbook says it does.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

/// Cargo puts the examples beside the folder of this test.
fn program(name: &str) -> Command {
    let mut path: PathBuf = std::env::current_exe().expect("this test is a file");
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{} is not there: `cargo build --examples` first",
        path.display()
    );
    Command::new(path)
}

fn output(name: &str, args: &[&str]) -> Output {
    program(name).args(args).output().expect("it starts")
}

/// What a program printed, once it has ended well.
fn printed(name: &str, args: &[&str]) -> String {
    let output = output(name, args);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed\n{text}\n{errors}");
    text
}

/// What a program printed when it refused to run, and its exit code.
fn refused(name: &str, args: &[&str]) -> (String, Option<i32>) {
    let output = output(name, args);
    (
        String::from_utf8(output.stderr).expect("UTF-8"),
        output.status.code(),
    )
}

/// All of `parts`, in this order.
fn assert_contains(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("no `{part}` where it belongs in\n{text}"));
        rest = &rest[at + part.len()..];
    }
}

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

#[test]
fn tls_listener() {
    assert_contains(
        &printed("tls_listener", &[]),
        &[
            r#"over HTTP/2.0: TLSv1.3, asked for Some("localhost")"#,
            "without TLS: no answer",
        ],
    );
}

#[test]
fn mutual_tls() {
    assert_contains(
        &printed("mutual_tls", &[]),
        &[
            "web: 200 OK hello, web",
            "batch: 403 Forbidden",
            "web, says a stranger: refused before any request",
            "nobody: refused before any request",
        ],
    );
}

#[test]
fn ocsp_stapling() {
    assert_contains(
        &printed("ocsp_stapling", &[]),
        &[
            "http://ca.test/ocsp is asked",
            "there is a staple: true",
            "not revoked, says a Staple",
            "hello",
        ],
    );
}

#[test]
fn revocation() {
    assert_contains(
        &printed("revocation", &[]),
        &[
            "a list: InUse",
            "certificate 7: not revoked, says a Crl",
            "a newer list: InUse",
            "certificate 7 is refused",
            "the older list again: Superseded",
            "certificate 7 is refused",
        ],
    );
}

#[test]
fn certificate_reload() {
    assert_contains(
        &printed("certificate_reload", &[]),
        &[
            "at first: the old certificate",
            "after a reload: the new certificate",
            "on the connection from before: the old certificate",
            "the key of another: ",
            "(load)",
            "no certificate: ",
            "for another name: ",
            "(settings)",
            "and still: the new certificate",
        ],
    );
}

#[test]
fn acme() {
    assert_contains(
        &printed("acme", &[]),
        &[
            "not yet: the CA gives no account",
            "because: ",
            "another try is due: true",
        ],
    );
}

#[test]
fn custom_trust() {
    assert_contains(
        &printed("custom_trust", &[]),
        &[
            "the company alone: hello",
            "it and the platform's: hello",
            "somebody else: TLS with `localhost`: the peer's certificate leads to no trust anchor",
            "the company, for another name: TLS with `127.0.0.1`: the peer's certificate is for another name",
        ],
    );
}

#[test]
fn outlier() {
    assert_contains(
        &printed("outlier", &[]),
        &[
            "all are well: [[200, 200], [200, 200], [200, 200]]",
            "replica 1 fails: [[200, 200], [500, 500], [200, 200]]",
            "is ejected for ConsecutiveFailures, for ",
            "it is ejected: [",
            ", [], ",
            "its time is up: [[200, 200], [200, 200], [200, 200]]",
            "replica 2 is unhealthy: the answer was 503 Service Unavailable",
            "it is not called: [",
            ", []]",
            "it is back: [[200, 200], [200, 200], [200, 200]]",
        ],
    );
}

#[test]
fn interceptors() {
    assert_contains(
        &printed("interceptors", &[]),
        &[
            "key none: 401 Unauthorized, timed: true",
            "an X-Api-Key is needed",
            "key s3cret-of-ada: 200 OK, timed: true",
            "hello, Ada",
            "key made-up: 200 OK, timed: true",
            "hello, guest",
            "GET /broken, key s3cret-of-ada: 500 Internal Server Error, timed: true",
            "the response has no Content-Type",
        ],
    );
}

#[test]
fn cors() {
    assert_contains(
        &printed("cors", &[]),
        &[
            "OPTIONS /orders from https://app.example.com: 204 No Content, allowed: https://app.example.com\n",
            "OPTIONS /orders from https://evil.example.com: 403 Forbidden, allowed: nobody\n",
            "GET /orders from https://app.example.com: 200 OK, allowed: https://app.example.com\n",
            "GET /orders from https://evil.example.com: 403 Forbidden, allowed: nobody\n",
            "GET /font from https://evil.example.com: 200 OK, allowed: *\n",
        ],
    );
}

#[test]
fn hosts() {
    assert_contains(
        &printed("hosts", &[]),
        &[
            "api.example.com/users/1: 200 OK, Cache-Control: none: Ada\n",
            "www.example.com/: 200 OK, Cache-Control: public, max-age=3600: <p>Served by tower-http",
            "WWW.example.com:80/missing.html: 404 Not Found, Cache-Control: none",
            "acme.example.com/: 200 OK, Cache-Control: none: the page of acme\n",
            "a.b.example.com/: 421 Misdirected Request",
            "elsewhere.net/users/1: 421 Misdirected Request",
        ],
    );
}

#[test]
fn negotiation() {
    assert_contains(
        &printed("negotiation", &[]),
        &[
            "Accept: */*: 200 OK, application/json, Vary: accept\n",
            "Accept: text/csv, application/json;q=0.5: 200 OK, text/csv, Vary: accept\n",
            "Accept: text/*: 200 OK, text/csv, Vary: accept\n",
            "Accept: image/png: 406 Not Acceptable, application/problem+json, Vary: accept\n",
            "Content-Type: application/json: 200 OK\n  2 of tea\n",
            "Content-Type: text/xml: 415 Unsupported Media Type",
        ],
    );
}

#[test]
fn receiving_uploads() {
    assert_contains(
        &printed("receiving_uploads", &[]),
        &[
            "a photo of 100000 bytes: 201 Created",
            r#"{"title":"Cellar","file":"cellar.jpg","bytes":100000}"#,
            "a photo of 250000 bytes: 413 Payload Too Large",
            r##""pointer":"#/photo""##,
            ": 200 OK\n  1 items\n",
            ": 422 Unprocessable Entity",
            r##"{"pointer":"#/items/0/name","detail":"must not be empty"}"##,
            r##"{"pointer":"#/items/1/count","detail":"must be 1 to 100"}"##,
            ": 422 Unprocessable Entity",
            r##"{"pointer":"#/items/0/count","detail":"expected u32"}"##,
            ": 400 Bad Request",
            "the body is not JSON",
        ],
    );
}

#[test]
fn serving() {
    assert_contains(
        &printed("serving", &[]),
        &[
            "GET /: 200 OK, encoding none, id of 32 characters",
            "GET /: 304 Not Modified, encoding none, id of 32 characters",
            "GET /long: 200 OK, encoding gzip, id of 32 characters",
            "GET /stuck: 504 Gateway Timeout",
            "GET /broken: 500 Internal Server Error, encoding none, id of 32 characters",
            "OPTIONS /: 204 No Content, ",
            "6 requests, 0 connections refused",
            "0 requests were cut",
        ],
    );
}

#[test]
fn limits() {
    assert_contains(
        &printed("limits", &[]),
        &[
            "a good request: 200 OK",
            "a long target: 414 URI Too Long",
            "a long field: 431 Request Header Fields Too Large",
            "a long body: 413 Payload Too Large",
            "refused, two or more: true",
            "the others were closed for saying nothing",
            "a good request: 200 OK",
            "0 were cut",
        ],
    );
}

#[test]
fn load_balancer() {
    assert_contains(
        &printed("load_balancer", &[]),
        &[
            "HTTP proxy: client 203.0.113.9, 1 trusted hops, scheme https, connected from 127.0.0.1, field left: true",
            "TCP balancer: client 203.0.113.9, 0 trusted hops, scheme unknown, connected from 203.0.113.9, field left: false",
            "forged field: client 203.0.113.9, 0 trusted hops, scheme unknown, connected from 203.0.113.9, field left: false",
            "TCP balancer without its header: true",
        ],
    );
}

#[cfg(unix)]
#[test]
fn graceful_shutdown() {
    assert_contains(
        &printed("graceful_shutdown", &[]),
        &[
            "/readyz: 204 No Content",
            "/readyz: 503 Service Unavailable",
            "a late request: hello",
            "a request in flight: slow, and whole",
            "1 finished in the drain, 0 were cut",
            "/livez: 204 No Content",
        ],
    );
}

#[test]
fn serving_events() {
    assert_contains(
        &printed("serving_events", &[]),
        &[
            "first visit: tick 1\nfirst visit: tick 2\n",
            "second visit: tick 3\nsecond visit: tick 4\n",
            "third visit: tick 1\n",
            "it ended well: true",
            "0 were cut",
        ],
    );
}

#[test]
fn timeouts() {
    let text = printed("timeouts", &[]);
    assert_contains(
        &text,
        &[
            "an attempt: the limit is 500ms after ",
            "a body: 200 OK at once",
            "a body: the body sent nothing for 200ms after ",
            "two services deep: the backend has less than a second",
            "two services deep: the ",
            ", and it took ",
        ],
    );
}

#[test]
fn rate_limiting() {
    assert_contains(
        &printed("rate_limiting", &[]),
        &[
            r#"key ``: 200 OK, RateLimit: "default";r=2;t="#,
            r#"key ``: 200 OK, RateLimit: "default";r="#,
            r#"key ``: 200 OK, RateLimit: "default";r="#,
            "key ``: 429 Too Many Requests",
            "Retry-After: 6",
            "key `made-up`: 429 Too Many Requests",
            r#"key `s3cret-of-ada`: 200 OK, RateLimit: "default";r=2;t=6"#,
        ],
    );
}

#[test]
fn adaptive_limits() {
    // It fails by itself unless the limit halves the median.
    assert_contains(
        &printed("adaptive_limits", &[]),
        &[
            "without a limit: ",
            "with one that adapts: ",
            "the limit is ",
        ],
    );
}

#[test]
fn hedging() {
    assert_contains(
        &printed("hedging", &[]),
        &[
            "before it knows: half within ",
            "95 % come within ",
            "and then: half within ",
            " second attempts, ",
            " of them answered first",
        ],
    );
}

#[test]
fn chaos() {
    // Seeded, so the same in every run.
    assert_contains(
        &printed("chaos", &[]),
        &[
            "in peace: 200 answers, 0 of them stale",
            "in chaos: 200 answers, 22 of them stale",
            "what happened: ChaosCounts { delayed: 38, failed: 9, cut: 0, hung: 13 }",
            "in peace again: 200 answers, 0 of them stale",
        ],
    );
}

#[test]
fn retry() {
    assert_contains(
        &printed("retry", &[]),
        &[
            "GET: 200 OK",
            "attempts: 3",
            "POST: 503 Service Unavailable",
            "not again: it may have been acted on, and is not idempotent",
            "POST with a key: 200 OK",
            "retries so far: 3",
            "200 calls made 249 requests",
        ],
    );
}

#[test]
fn load_balancing() {
    assert_contains(
        &printed("load_balancing", &[]),
        &[
            "one of three is slow and one fails: ",
            "steady answered",
            "a fourth joins and the failing one is taken out:",
            "failing answered 0",
            "fresh answered",
        ],
    );
}

#[test]
fn circuit_breaker() {
    assert_contains(
        &printed("circuit_breaker", &[]),
        &[
            "call 1: 503 Service Unavailable, Closed",
            "call 3: 503 Service Unavailable, Open",
            "call 4: refused: true, Open",
            "it is back: Some(Closed)",
        ],
    );
}

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

#[test]
fn failover_demo() {
    let text = printed("failover", &["--demo", "--port", "0"]);
    assert_contains(
        &text,
        &[
            "first call: GET",
            "target 0 (http://nowhere.invalid): ",
            "does not resolve",
            "target 1 (http://127.0.0.1:",
            "the limit is 5s, after 5.",
            "target 2 (http://127.0.0.1:",
            "answered, after ",
            "first call: `Mock Resource is Invoked.` after 5.",
            "second call: GET",
            "  http://127.0.0.1:",
            ": answered first",
            "second call: `Mock Resource is Invoked.` after ",
        ],
    );
    // The second call knows the way: milliseconds, or less.
    let second = text.lines().last().expect("a line");
    assert!(second.ends_with("ms") || second.ends_with("µs"), "{second}");
}

#[test]
fn failover_says_what_is_wrong_with_its_arguments() {
    for (args, message) in [
        (
            &["--port", "99999"][..],
            "error: invalid --port `99999`: expected a port from 0 to 65535",
        ),
        (
            &["--port=x"],
            "error: invalid --port `x`: expected a port from 0 to 65535",
        ),
        (
            &["--port"],
            "error: invalid --port ``: expected a port from 0 to 65535",
        ),
        (
            &["--prot", "1"],
            "error: invalid argument `--prot`: expected --port or --demo",
        ),
    ] {
        let (text, code) = refused("failover", args);
        assert_contains(&text, &[message, "usage: failover"]);
        assert_eq!(code, Some(2));
    }
}

#[test]
fn failover_says_that_its_port_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let (text, code) = refused("failover", &["--port", &port]);
    let addr = format!("127.0.0.1:{port}");
    assert_contains(&text, &["error: ", &addr, "in use", "`--port 0`"]);
    assert_eq!(code, Some(1));
}

/// A program that is ended with its test, whatever becomes of that.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(unix)]
#[test]
fn failover_finishes_what_it_began_when_it_is_interrupted() {
    let mut child = Running(
        program("failover")
            .args(["--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts"),
    );
    let mut lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
    let mut line_with = |part: &str| {
        lines
            .by_ref()
            .map(|line| line.expect("UTF-8"))
            .find(|line| line.contains(part))
            .unwrap_or_else(|| panic!("it ended without `{part}`"))
    };
    let url = line_with("try: curl");
    let (_, addr) = url.split_once("http://").expect("a URL");
    let (addr, _) = addr.split_once('/').expect("a path");

    let mut call = TcpStream::connect(addr).expect("it listens");
    write!(call, "GET /fo HTTP/1.1\r\nhost: {addr}\r\n\r\n").expect("it reads");
    // From here on the call is under way, and stays so for five seconds.
    line_with("GET /fo");
    let interrupted = Command::new("kill")
        .args(["-INT", &child.0.id().to_string()])
        .status()
        .expect("kill is there");
    assert!(interrupted.success());

    let mut response = String::new();
    call.read_to_string(&mut response)
        .expect("a response, and the end");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(
        response.ends_with("Mock Resource is Invoked."),
        "{response}"
    );
    assert_eq!(
        line_with("drained"),
        "drained: 1 requests finished, 0 were cut"
    );
    assert!(child.0.wait().expect("it ends").success());
}

/// Asks for `/` on a connection of its own. `None` if nobody listens.
#[cfg(unix)]
fn ask(addr: &str) -> Option<String> {
    let mut io = TcpStream::connect(addr).ok()?;
    write!(
        io,
        "GET / HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut response = String::new();
    io.read_to_string(&mut response).expect("a response");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    let (_, body) = response.split_once("\r\n\r\n").expect("a head");
    Some(body.to_owned())
}

#[cfg(unix)]
fn send_signal(signal: &str, process: &str) {
    let sent = Command::new("kill").args([signal, process]).status();
    assert!(sent.expect("kill is there").success());
}

/// A successor is no child of this test: it is ended by its number.
#[cfg(unix)]
struct Successor(String);

#[cfg(unix)]
impl Drop for Successor {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = Command::new("kill").args(["-KILL", &self.0]).output();
    }
}

#[cfg(unix)]
#[test]
fn restart_hands_over_without_a_refused_connection() {
    let mut child = Running(
        program("restart")
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts"),
    );
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().expect("piped"))
        .read_line(&mut line)
        .expect("UTF-8");
    let (_, addr) = line.split_once("http://").expect("a URL");
    let addr = addr.trim_end().trim_end_matches('/');
    let old = format!("process {}", child.0.id());
    assert_eq!(ask(addr).as_deref(), Some(&*old));

    send_signal("-HUP", &child.0.id().to_string());
    // Somebody listens all the time.
    let new = std::iter::repeat_with(|| ask(addr).expect("it is never refused"))
        .find(|answer| *answer != old)
        .expect("endless");
    let successor = Successor(new.trim_start_matches("process ").to_owned());
    assert!(child.0.wait().expect("it ends").success());
    assert_eq!(ask(addr), Some(new));

    send_signal("-TERM", &successor.0);
    while ask_or_reset(addr) {}
}

/// Whether anybody listens. Who connects in the moment of closing may be reset.
#[cfg(unix)]
fn ask_or_reset(addr: &str) -> bool {
    let Ok(mut io) = TcpStream::connect(addr) else {
        return false;
    };
    let _ = write!(
        io,
        "GET / HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n"
    );
    let _ = io.read_to_string(&mut String::new());
    true
}
