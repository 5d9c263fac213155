//! The cases of the http-state working group, which RFC 6265 came of, under their names there, as it requires them.
//!
//! What is left out stands [beside them](LEFT_OUT), and a test counts that nothing else is. `ordering0001` is by RFC 6265 section 5.4, the
//! longest path first. Cookies without a name are dropped, as RFC 6265 section 5.2 has it.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use bartizan_client::{CookieRequest, CookieStore, Jar};
use bartizan_testing::ManualClock;
use http::{HeaderValue, Method, Uri};

/// The name, what is set by `http://home.example.org:8888/cookie-parser`, where the next request goes, and what is sent with it.
type Case = (
    &'static str,
    &'static [&'static str],
    &'static str,
    &'static str,
);

const HERE: &str = "/cookie-parser-result";

#[rustfmt::skip] // A table: one case in each line.
const GENERAL: &[Case] = &[
    ("0001", &["a=1"], HERE, "a=1"),
    ("0002", &["a=1; Expires=Fri, 07 Aug 2019 08:04:19 GMT"], HERE, "a=1"),
    ("0003", &["a=1; Expires=Tue, 07 Aug 2007 08:04:19 GMT", "b=2; Expires=Mon, 07 Aug 2017 08:04:19 GMT"], HERE, "b=2"),
    ("0004", &["a"], HERE, ""),
    ("0005", &["a=1; max-age=10000;"], HERE, "a=1"),
    ("0006", &["a=1; max-age=0;"], HERE, ""),
    ("0007", &["a=1; version=1;"], HERE, "a=1"),
    ("0008", &["a=1; version=1000;"], HERE, "a=1"),
    ("0009", &["a=1; custom=1000;"], HERE, "a=1"),
    ("0010", &["a=1; secure;"], HERE, ""),
    ("0011", &["a=1; custom=\"1000 or more\";"], HERE, "a=1"),
    ("0012", &["a=1; custom=\"no semicolon after\""], HERE, "a=1"),
    ("0013", &["a=1", "a=2"], HERE, "a=2"),
    ("0014", &["a1=1", "a2=2"], HERE, "a1=1; a2=2"),
    ("0015", &["a=1", "z=2"], HERE, "a=1; z=2"),
    ("0016", &["z=2", "a=1"], HERE, "z=2; a=1"),
    ("0017", &["z=2, a=1"], HERE, "z=2, a=1"),
    ("0018", &["z=2; a=1, b=3"], HERE, "z=2"),
    ("0019", &["a=1;max-age=3600, b=2;path=/"], HERE, "a=1"),
    ("0020", &["a=1", "=", "b=2"], HERE, "a=1; b=2"),
    ("0021", &["a=1", "=x", "b=2"], HERE, "a=1; b=2"),
    ("0022", &["a=1", "x=", "b=2"], HERE, "a=1; x=; b=2"),
    ("0023", &["a", ""], HERE, ""),
    ("0024", &["a", "="], HERE, ""),
    ("0025", &["a", "; b"], HERE, ""),
    ("0026", &["a", "   "], HERE, ""),
    ("0027", &["a", "b"], HERE, ""),
    ("0028", &["a", "\t"], HERE, ""),
    ("attribute0001", &["a=1; Secure"], HERE, ""),
    ("attribute0002", &["a=1; seCURe"], HERE, ""),
    ("attribute0003", &["a=1; \"Secure\""], HERE, "a=1"),
    ("attribute0004", &["a=1; Secure="], HERE, ""),
    ("attribute0005", &["a=1; Secure=x"], HERE, ""),
    ("attribute0006", &["a=1; Secure x"], HERE, "a=1"),
    ("attribute0007", &["a=1; Secure =x"], HERE, ""),
    ("attribute0008", &["a=1; Secure= x"], HERE, ""),
    ("attribute0009", &["a=1; Secure; x"], HERE, ""),
    ("attribute0010", &["a=1; Secure;x"], HERE, ""),
    ("attribute0011", &["a=1; Secure    ; x"], HERE, ""),
    ("attribute0012", &["a=1;           Secure"], HERE, ""),
    ("attribute0013", &["a=1;      Secure     ;"], HERE, ""),
    ("attribute0014", &["a=1; Path"], HERE, "a=1"),
    ("attribute0015", &["a=1; Path="], HERE, "a=1"),
    ("attribute0016", &["a=1; Path=/"], HERE, "a=1"),
    ("attribute0017", &["a=1; Path=/x"], HERE, ""),
    ("attribute0018", &["a=1; Path    =/x"], HERE, ""),
    ("attribute0019", &["a=1; Path=    /x"], HERE, ""),
    ("attribute0020", &["a=1; Path=/x      ; y"], HERE, ""),
    ("attribute0021", &["a=1; Path=/x; Path=/"], HERE, "a=1"),
    ("attribute0022", &["a=1; Path=/; Path=/x"], HERE, ""),
    ("attribute0023", &["a=1; Path=/x; Path=/cookie-parser-result"], HERE, "a=1"),
    ("attribute0024", &["a=1; Path=/cookie-parser-result; Path=/x"], HERE, ""),
    ("attribute0025", &["a=1; x; Secure"], HERE, ""),
    ("attribute0026", &["a=1; x=\"y;z\"; Secure"], HERE, ""),
    ("charset0001", &["a=春节回家路·春运完全手册"], HERE, "a=春节回家路·春运完全手册"),
    ("charset0002", &["春节=回家"], HERE, "春节=回家"),
    ("charset0003", &["春节=回家; 路"], HERE, "春节=回家"),
    ("charset0004", &["a=\"春节\""], HERE, "a=\"春节\""),
    ("comma0001", &["a=1, b=2"], HERE, "a=1, b=2"),
    ("comma0002", &["a=\"1, b=2\""], HERE, "a=\"1, b=2\""),
    ("comma0003", &["a=1; b,c=2"], HERE, "a=1"),
    ("comma0004", &["a=1; b=2,c"], HERE, "a=1"),
    ("comma0005", &["a=1; Max-Age=50,399"], HERE, "a=1"),
    ("comma0006", &["a=1; Expires=Fri, 07 Aug 2019 08:04:19 GMT"], HERE, "a=1"),
    ("comma0007", &["a=1; Expires=Fri 07 Aug 2019 08:04:19 GMT, b=2"], HERE, "a=1"),
];

#[rustfmt::skip] // A table: one case in each line.
const BROWSERS: &[Case] = &[
    ("chromium0001", &["a=1"], HERE, "a=1"),
    ("chromium0002", &["aB=\"1 \"   ;"], HERE, "aB=\"1 \""),
    ("chromium0003", &["aB=\"1 \" ;"], HERE, "aB=\"1 \""),
    ("chromium0004", &["aB=\"1;2\" ; ;"], HERE, "aB=\"1"),
    ("chromium0005", &["aB=\"1 ;"], HERE, "aB=\"1"),
    ("chromium0006", &["aB=\"1 \"   \"2\"  ;"], HERE, "aB=\"1 \"   \"2\""),
    ("chromium0007", &["aB=\"1 \"   \"2\" ;"], HERE, "aB=\"1 \"   \"2\""),
    ("chromium0008", &["aB=1\"2 ;"], HERE, "aB=1\"2"),
    ("chromium0009", &["A; path=/;"], HERE, ""),
    ("chromium0010", &["\"A\\\"B\"; path=/;"], HERE, ""),
    ("chromium0011", &["a=\"B"], HERE, "a=\"B"),
    ("chromium0012", &["=A"], HERE, ""),
    ("chromium0013", &["A=;  path = /"], HERE, "A="),
    ("chromium0014", &["  A  = 1  ;x;;;   y"], HERE, "A=1"),
    ("chromium0015", &["  A=== 1  ;x;;;   y"], HERE, "A=== 1"),
    ("chromium0016", &["a=\"1\"  ; expires=Sun, 18-Apr-2027 21:06:29 GMT ; path=/  ;  "], HERE, "a=\"1\""),
    ("chromium0017", &["a=1  ; expires=Sun, 18-Apr-2027 21:06:29 GMT ; path=/  ;  "], HERE, "a=1"),
    ("chromium0018", &["    "], HERE, ""),
    ("chromium0021", &[""], HERE, ""),
    ("mozilla0001", &["a=1; max-age=-1"], HERE, ""),
    ("mozilla0002", &["a=1; max-age=0"], HERE, ""),
    ("mozilla0003", &["a=1; expires=Thu, 10 Apr 1980 16:33:12 GMT"], HERE, ""),
    ("mozilla0004", &["a=1; max-age=60"], HERE, "a=1"),
    ("mozilla0005", &["a=1; max-age=-20"], HERE, ""),
    ("mozilla0006", &["a=1; max-age=60"], HERE, "a=1"),
    ("mozilla0007", &["a=1; expires=Thu, 10 Apr 1980 16:33:12 GMT"], HERE, ""),
    ("mozilla0008", &["a=1; max-age=60", "b=1; max-age=60"], HERE, "a=1; b=1"),
    ("mozilla0009", &["a=1; max-age=60", "b=1; max-age=60", "a=2; max-age=0"], HERE, "b=1"),
    ("mozilla0010", &["a=1; max-age=60", "b=1; max-age=60", "a=2; max-age=0", "c=3; max-age=0"], HERE, "b=1"),
    ("mozilla0011", &["a=1; domain=.parser.test; ;; ;=; ,,, ===,b,=; c! max-age=20;=;;"], HERE, ""),
    ("mozilla0012", &["a=\"b! = c;d\\\";\" e; max-age=6", "five; max-age=2.63,"], HERE, "a=\"b! = c"),
    ("mozilla0013", &["a=1; max-age=0", "five; max-age=0"], HERE, ""),
    ("mozilla0014", &["six"], HERE, ""),
    ("mozilla0015", &["six", "seven"], HERE, ""),
    ("mozilla0016", &["six", "seven", " =eight"], HERE, ""),
    ("mozilla0017", &["six", "seven", " =eight", "a=six"], HERE, "a=six"),
];

const HOME: &str = "http://home.example.org:8888/cookie-parser-result";
const SIBLING: &str = "http://sibling.example.org:8888/cookie-parser-result";
const BELOW: &str = "http://subdomain.home.example.org:8888/cookie-parser-result";

#[rustfmt::skip] // A table: one case in each line.
const DOMAINS: &[Case] = &[
    ("domain0001", &["a=1; domain=home.example.org"], HOME, "a=1"),
    ("domain0002", &["a=1; domain=home.example.org"], SIBLING, ""),
    ("domain0003", &["a=1; domain=.home.example.org"], HOME, "a=1"),
    ("domain0004", &["a=1; domain=home.example.org"], BELOW, "a=1"),
    ("domain0005", &["a=1; domain=.home.example.org"], BELOW, "a=1"),
    ("domain0006", &["a=1; domain=.home.example.org"], SIBLING, ""),
    ("domain0007", &["a=1; domain=sibling.example.org"], SIBLING, ""),
    ("domain0008", &["a=1; domain=.example.org"], HOME, "a=1"),
    ("domain0009", &["a=1; domain=example.org"], HOME, "a=1"),
    ("domain0010", &["a=1; domain=..home.example.org"], HOME, ""),
    ("domain0011", &["a=1; domain=home..example.org"], HOME, ""),
    ("domain0012", &["a=1; domain=  .home.example.org"], HOME, "a=1"),
    ("domain0013", &["a=1; domain=  .  home.example.org"], HOME, ""),
    ("domain0014", &["a=1; domain=home.example.org."], HOME, ""),
    ("domain0015", &["a=1; domain=home.example.org.."], HOME, ""),
    ("domain0016", &["a=1; domain=home.example.org ."], HOME, ""),
    ("domain0017", &["a=1; domain=.org"], HOME, ""),
    ("domain0018", &["a=1; domain=.org."], HOME, ""),
    ("domain0019", &["a=1; domain=home.example.org", "b=2; domain=.home.example.org"], HOME, "a=1; b=2"),
    ("domain0020", &["b=2; domain=.home.example.org", "a=1; domain=home.example.org"], HOME, "b=2; a=1"),
    ("domain0021", &["a=1; domain=\"home.example.org\""], HOME, ""),
    ("domain0022", &["a=1; domain=home.example.org", "b=2; domain=.example.org"], HOME, "a=1; b=2"),
    ("domain0023", &["b=2; domain=.example.org", "a=1; domain=home.example.org"], HOME, "b=2; a=1"),
    ("domain0024", &["a=1; domain=.example.org; domain=home.example.org"], SIBLING, ""),
    ("domain0025", &["a=1; domain=home.example.org; domain=.example.org"], SIBLING, "a=1"),
    ("domain0026", &["a=1; domain=home.eXaMpLe.org"], HOME, "a=1"),
    ("domain0027", &["a=1; domain=home.example.org:8888"], HOME, ""),
    ("domain0028", &["a=1; domain=subdomain.home.example.org"], BELOW, ""),
    ("domain0029", &["a=1"], BELOW, ""),
    ("domain0031", &["a=1; domain=home.example.org; domain=.example.org"], SIBLING, "a=1"),
    ("domain0033", &["a=1; domain=home.example.org"], "http://hoMe.eXaMplE.org:8888/cookie-parser-result", "a=1"),
    ("domain0034", &["a=1; domain=home.example.org; domain=home.example.com"], HOME, ""),
    ("domain0035", &["a=1; domain=home.example.com; domain=home.example.org"], HOME, "a=1"),
    ("domain0036", &["a=1; domain=home.example.org; domain=home.example.com; domain=home.example.org"], HOME, "a=1"),
    ("domain0037", &["a=1; domain=home.example.com; domain=home.example.org; domain=home.example.com"], HOME, ""),
    ("domain0038", &["a=1; domain=home.example.org; domain=home.example.org"], HOME, "a=1"),
    ("domain0039", &["a=1; domain=home.example.org; domain=example.org"], HOME, "a=1"),
    ("domain0040", &["a=1; domain=example.org; domain=home.example.org"], HOME, "a=1"),
    ("domain0041", &["a=1; domain=.sibling.example.org"], SIBLING, ""),
    ("domain0042", &["a=1; domain=.sibling.home.example.org"], "http://sibling.home.example.org:8888/", ""),
    ("optional-domain0030", &["a=1; domain="], HOME, "a=1"),
    ("optional-domain0041", &["a=1; domain=example.org; domain="], HOME, "a=1"),
    ("optional-domain0042", &["a=1; domain=foo.example.org; domain="], HOME, ""),
    ("optional-domain0043", &["a=1; domain=foo.example.org; domain="], BELOW, ""),
];

#[rustfmt::skip] // A table: one case in each line.
const NAMES_AND_VALUES: &[Case] = &[
    ("name0001", &["a=1"], HERE, "a=1"),
    ("name0002", &["1=2"], HERE, "1=2"),
    ("name0003", &["$=1"], HERE, "$=1"),
    ("name0004", &["!a=1"], HERE, "!a=1"),
    ("name0005", &["@a=1"], HERE, "@a=1"),
    ("name0006", &["#a=1"], HERE, "#a=1"),
    ("name0007", &["$a=1"], HERE, "$a=1"),
    ("name0008", &["%a=1"], HERE, "%a=1"),
    ("name0009", &["^a=1"], HERE, "^a=1"),
    ("name0010", &["&a=1"], HERE, "&a=1"),
    ("name0011", &["*a=1"], HERE, "*a=1"),
    ("name0012", &["(a=1"], HERE, "(a=1"),
    ("name0013", &[")a=1"], HERE, ")a=1"),
    ("name0014", &["-a=1"], HERE, "-a=1"),
    ("name0015", &["_a=1"], HERE, "_a=1"),
    ("name0016", &["+=1"], HERE, "+=1"),
    ("name0017", &["=a=1"], HERE, ""),
    ("name0018", &["a =1"], HERE, "a=1"),
    ("name0019", &["\"a=1"], HERE, "\"a=1"),
    ("name0020", &["\"a=b\"=1"], HERE, "\"a=b\"=1"),
    ("name0021", &["\"a=b\"=1", "\"a=2"], HERE, "\"a=2"),
    ("name0022", &["   a=1"], HERE, "a=1"),
    ("name0023", &["a;b=1"], HERE, ""),
    ("name0024", &["$Version=1; a=1"], HERE, "$Version=1"),
    ("name0025", &["===a=1"], HERE, ""),
    ("name0026", &["a=1    "], HERE, "a=1"),
    ("name0027", &["a=1    ;"], HERE, "a=1"),
    ("name0028", &["=a"], HERE, ""),
    ("name0029", &["="], HERE, ""),
    ("name0030", &["a b=1"], HERE, "a b=1"),
    ("name0031", &["\"a;b\"=1"], HERE, ""),
    ("name0032", &["\"a\\\"b", "\"a\\\"b;c\"=1"], HERE, ""),
    ("name0033", &["=a=1", "b"], HERE, ""),
    ("value0001", &["a=  1"], HERE, "a=1"),
    ("value0002", &["a=\"1\""], HERE, "a=\"1\""),
    ("value0003", &["a=\"  1 \""], HERE, "a=\"  1 \""),
    ("value0004", &["a=\"1;2\""], HERE, "a=\"1"),
    ("value0005", &["a=\"1=2\""], HERE, "a=\"1=2\""),
    ("value0006", &["   a     =       1             ;       x"], HERE, "a=1"),
];

#[rustfmt::skip] // A table: one case in each line.
const PATHS: &[Case] = &[
    ("ordering0001", &["a=0;", "a=1; path=/cookie-parser-result", "a=2; path=/", "a=3; path=/bar", "a=4; domain=.example.org", "a=5; domain=.example.org; path=/cookie-parser-result/foo"], "/cookie-parser-result/foo/baz", "a=5; a=1; a=2; a=4"),
    ("path0001", &["a=1; path=/", "b=2; path=/cookie-parser-result"], HERE, "b=2; a=1"),
    ("path0002", &["a=1; path=/cookie-parser-result", "b=2; path=/"], HERE, "a=1; b=2"),
    ("path0003", &["b=2; path=/", "a=1; path=/cookie-parser-result"], HERE, "a=1; b=2"),
    ("path0004", &["b=2; path=/cookie-parser-result", "a=1; path=/"], HERE, "b=2; a=1"),
    ("path0005", &["a=1; path=/cookie-parser-result/foo"], HERE, ""),
    ("path0006", &["a=1", "a=2; path=/cookie-parser-result/foo"], HERE, "a=1"),
    ("path0007", &["a=1; path=/cookie-parser-result/foo"], "/cookie-parser-result/foo", "a=1"),
    ("path0008", &["a=1; path=/cookie-parser-result/foo"], "/cookie-parser-result/bar", ""),
    ("path0009", &["a=1; path=/cookie-parser-result/foo/qux"], "/cookie-parser-result/foo", ""),
    ("path0010", &["a=1; path=/cookie-parser-result/foo/qux"], "/cookie-parser-result/foo/qux", "a=1"),
    ("path0011", &["a=1; path=/cookie-parser-result/foo/qux"], "/cookie-parser-result/bar/qux", ""),
    ("path0012", &["a=1; path=/cookie-parser-result/foo/qux"], "/cookie-parser-result/foo/baz", ""),
    ("path0013", &["a=1; path=/cookie-parser-result/foo/qux/"], "/cookie-parser-result/foo/baz", ""),
    ("path0014", &["a=1; path=/cookie-parser-result/foo/qux/"], "/cookie-parser-result/foo/qux", ""),
    ("path0015", &["a=1; path=/cookie-parser-result/foo/qux/"], "/cookie-parser-result/foo/qux/", "a=1"),
    ("path0016", &["a=1; path=/cookie-parser-result/foo/"], "/cookie-parser-result/foo/qux", "a=1"),
    ("path0017", &["a=1; path=/cookie-parser-result/foo/"], "/cookie-parser-result/foo//qux", "a=1"),
    ("path0018", &["a=1; path=/cookie-parser-result/foo/"], "/cookie-parser-result/fooqux", ""),
    ("path0019", &["a=1; path"], HERE, "a=1"),
    ("path0020", &["a=1; path="], HERE, "a=1"),
    ("path0021", &["a=1; path=/"], HERE, "a=1"),
    ("path0022", &["a=1; path= /"], HERE, "a=1"),
    ("path0023", &["a=1; Path=/cookie-PARSER-result"], HERE, ""),
    ("path0024", &["a=1; path=/cookie-parser-result/foo/qux?"], "/cookie-parser-result/foo/qux?x", ""),
    ("path0025", &["a=1; path=/cookie-parser-result/foo/qux#"], "/cookie-parser-result/foo/qux?x", ""),
    ("path0026", &["a=1; path=/cookie-parser-result/foo/qux;"], "/cookie-parser-result/foo/qux?x", "a=1"),
    ("path0027", &["a=1; path=\"/cookie-parser-result/foo/qux;\""], "/cookie-parser-result/foo/qux?x", "a=1"),
    ("path0028", &["a=1; path=/cookie-parser-result/f%6Fo/bar"], "/cookie-parser-result/foo/bar", ""),
    ("path0029", &["a=1;    path    =    /cookie-parser-result   ", "b=2;    path    =    /book   "], HERE, "a=1"),
    ("path0030", &["a=1; path=/dog; path="], HERE, "a=1"),
    ("path0031", &["a=1; path=; path=/dog"], HERE, ""),
    ("path0032", &["a=1; path=/cookie-parser-result", "a=2; path=/cookie-parser-result/"], "/cookie-parser-result/dog", "a=2; a=1"),
];

/// The cases that are not in the tables, and why. Those that are disabled there are so because no two browsers agreed, and RFC 6265 does
/// not require what they have for an answer.
const LEFT_OUT: &[(&str, &str)] = &[
    (
        "chromium0019",
        "a field of 4 KiB, which has a test of its own",
    ),
    (
        "chromium0020",
        "disabled there: a field of 5 KB without a `=`",
    ),
    (
        "chromium0022",
        "disabled there: a NUL within the field, which is no header",
    ),
    (
        "chromium0023",
        "disabled there: a CR within the field, which is no header",
    ),
    ("domain0030", "called optional-domain0030 now"),
    ("domain0032", "disabled there: a host with a dot at its end"),
    (
        "path0029",
        "disabled there, beside the one that is not: a path that is percent-encoded in two ways",
    ),
];

/// Each series has every number, or says where it is.
#[test]
fn no_case_is_left_out_unsaid() {
    let tables = [GENERAL, BROWSERS, DOMAINS, NAMES_AND_VALUES, PATHS].concat();
    let there: HashSet<&str> = tables.iter().map(|(name, ..)| *name).collect();
    assert_eq!(there.len(), tables.len(), "each stands there once");
    let left_out = |name: &str| LEFT_OUT.iter().any(|(left_out, _)| *left_out == name);
    for (series, last) in [
        ("", 28),
        ("attribute", 26),
        ("charset", 4),
        ("chromium", 23),
        ("comma", 7),
        ("domain", 42),
        ("mozilla", 17),
        ("name", 33),
        ("ordering", 1),
        ("path", 32),
        ("value", 6),
    ] {
        for number in 1..=last {
            let name = format!("{series}{number:04}");
            // Two are called so, of which one is disabled.
            let is_double = name == "path0029";
            assert!(
                there.contains(&*name) != left_out(&name) || is_double,
                "{name}"
            );
        }
    }
}

#[test]
fn the_cases_of_http_state() {
    let mut wrong = Vec::new();
    let mut cases = 0;
    for (name, set, to, expected) in [GENERAL, BROWSERS, DOMAINS, NAMES_AND_VALUES, PATHS].concat()
    {
        let sent = sent(set, to);
        if sent != expected {
            wrong.push(format!("{name}: {sent:?} instead of {expected:?}"));
        }
        cases += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(cases, 217);
}

/// `chromium0019`: a field of 4 KiB that has no `=`, and what is too large with one.
#[test]
fn what_is_too_large_is_dropped() {
    let long = "a".repeat(4200);
    assert_eq!(sent(&[&long], HERE), "");
    assert_eq!(sent(&[&format!("a={long}")], HERE), "");
    assert_ne!(sent(&[&format!("a={}", &long[..4095])], HERE), "");
}

fn sent(set: &[&str], to: &str) -> String {
    // In the year of RFC 6265: some of the dates have passed since.
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_303_800_000));
    let jar = Jar::builder().clock(clock).build().expect("a jar");
    let from = Uri::from_static("http://home.example.org:8888/cookie-parser?case");
    let values: Vec<_> = set
        .iter()
        .map(|value| HeaderValue::from_bytes(value.as_bytes()).expect("a header"))
        .collect();
    jar.set_cookies(&CookieRequest::new(&from, &Method::GET), &mut values.iter());
    let to: Uri = if to.starts_with('/') {
        format!("http://home.example.org:8888{to}")
    } else {
        to.to_owned()
    }
    .parse()
    .expect("a URI");
    jar.matching(&to).unwrap_or_default()
}
