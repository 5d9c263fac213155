//! Where a URI leads.

use bartizan_client::connect::Destination;
use http::Uri;

#[test]
fn a_uri_leads_to_a_host_and_a_port_or_nowhere() {
    for (uri, leads_to) in [
        ("http://h", Some("http://h:80")),
        ("https://h/", Some("https://h:443")),
        ("HTTP://h/", Some("http://h:80")),
        ("http://h:8080/a?b", Some("http://h:8080")),
        ("http://h:65535/", Some("http://h:65535")),
        ("http://h:080/", Some("http://h:80")),
        // RFC 3986 section 3.2.3: a colon with nothing after it is none.
        ("http://h:/", Some("http://h:80")),
        ("https://h:/", Some("https://h:443")),
        ("http://127.0.0.1:1/", Some("http://127.0.0.1:1")),
        ("http://[::1]/", Some("http://[::1]:80")),
        ("http://[::1]:81/", Some("http://[::1]:81")),
        ("http://[2001:db8::1]:81/", Some("http://[2001:db8::1]:81")),
        ("http://me:pw@h:1/", Some("http://h:1")),
        ("http://me@[::1]:1/", Some("http://[::1]:1")),
        (
            "http://xn--bcher-kva.example/",
            Some("http://xn--bcher-kva.example:80"),
        ),
        ("http://a_b.example/", Some("http://a_b.example:80")),
        ("http://h./", Some("http://h.:80")),
        ("http://h:0/", None),
        ("http://h:65536/", None),
        ("http://h:-1/", None),
        ("http://h:+1/", None),
        ("http://:80/", None),
        ("http://me@:80/", None),
        ("ftp://h/", None),
        ("h:80", None),
        ("/a", None),
        ("*", None),
    ] {
        // Some are no URIs at all.
        let parsed: Option<Uri> = uri.parse().ok();
        let destination = parsed.as_ref().and_then(Destination::of);
        let shown = destination.map(|destination| destination.to_string());
        assert_eq!(shown.as_deref(), leads_to, "{uri}");
    }
}

#[test]
fn one_connection_serves_what_is_the_same_however_it_is_spelled() {
    let of = |uri: &str| Destination::of(&uri.parse().expect("a URI")).expect("a destination");
    for (one, other, is_same) in [
        ("http://H/", "http://h/a?b", true),
        ("http://h:80/", "http://h/", true),
        ("http://h:/", "http://h/", true),
        ("http://me@h/", "http://h/", true),
        ("http://[2001:DB8::1]/", "http://[2001:db8::1]/", true),
        ("http://h/", "https://h/", false),
        ("http://h:443/", "https://h/", false),
        ("http://h/", "http://h:81/", false),
        ("http://h/", "http://h./", false),
        ("http://h/", "http://i/", false),
    ] {
        assert_eq!(of(one) == of(other), is_same, "{one} {other}");
    }
}
