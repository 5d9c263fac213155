//! Dispatch by host.

use std::convert::Infallible;

use bartizan_core::Body;
use bartizan_listener::host::HostRouter;
use http::{Request, Response};
use tower::{ServiceExt, util::BoxCloneSyncService};

use super::{request, text};

type Answers = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

fn says(text: &'static str) -> Answers {
    BoxCloneSyncService::new(tower::service_fn(move |_: Request<Body>| async move {
        Ok(Response::new(Body::from(text)))
    }))
}

fn router() -> HostRouter<Answers> {
    HostRouter::builder()
        .host("example.com", says("exact"))
        .host("example.com:8443", says("exact, by port"))
        .host("*.example.com", says("wildcard"))
        .host("www.example.com", says("www"))
        .host("[2001:db8::1]", says("IPv6"))
        .host("192.0.2.1", says("IPv4"))
        .build()
        .expect("valid")
}

#[tokio::test]
async fn who_answers() {
    for (host, expected) in [
        ("example.com", Some("exact")),
        ("EXAMPLE.COM.", Some("exact")),
        ("example.com:80", Some("exact")),
        ("example.com:8443", Some("exact, by port")),
        ("www.example.com", Some("www")),
        ("WWW.example.com:8443", Some("www")),
        ("a.example.com", Some("wildcard")),
        ("a.b.example.com", None),
        (".example.com", None),
        ("notexample.com", None),
        ("com", None),
        ("[2001:0db8:0::0001]:443", Some("IPv6")),
        ("192.0.2.1:1", Some("IPv4")),
        ("192.0.2.2", None),
    ] {
        let response = router()
            .oneshot(request("GET", "/", &[("host", host)]))
            .await;
        let response = response.expect("infallible");
        match expected {
            Some(expected) => assert_eq!(text(response).await, expected, "{host}"),
            // `.example.com` is no host at all.
            None => {
                let status = if host.starts_with('.') { 400 } else { 421 };
                assert_eq!(response.status(), status, "{host}");
            }
        }
    }
}

#[tokio::test]
async fn the_target_has_the_say_and_may_not_be_contradicted() {
    for (uri, hosts, status) in [
        ("http://example.com/", &[][..], 200),
        ("http://example.com/", &["example.com"], 200),
        ("http://example.com/", &["EXAMPLE.com:80"], 200),
        ("http://example.com/", &["evil.example"], 400),
        ("http://user@example.com/", &[], 400),
        ("/", &["example.com", "example.com"], 400),
        ("/", &["example.com, evil.example"], 400),
        ("/", &[], 400),
        ("/", &[""], 400),
    ] {
        let fields: Vec<_> = hosts.iter().map(|&host| ("host", host)).collect();
        let response = router().oneshot(request("GET", uri, &fields)).await;
        assert_eq!(
            response.expect("infallible").status(),
            status,
            "{uri} {hosts:?}"
        );
    }
}

#[tokio::test]
async fn other_hosts_by_choice() {
    let elsewhere = || request("GET", "http://elsewhere.example/", &[]);
    let builder = || HostRouter::builder().host("example.com", says("exact"));
    let router = builder().not_found().build().expect("valid");
    assert_eq!(
        router
            .oneshot(elsewhere())
            .await
            .expect("infallible")
            .status(),
        404
    );
    let router = builder().otherwise(says("default")).build().expect("valid");
    let response = router.oneshot(elsewhere()).await.expect("infallible");
    assert_eq!(text(response).await, "default");
}

#[test]
fn hosts_are_checked() {
    for (hosts, says) in [
        (&["exa mple"][..], "invalid host[0] `exa mple`"),
        (&["a.example", "A.example."], "invalid host[1] `A.example.`"),
        (&["*.*.example"], "invalid host[0]"),
        (&["*"], "invalid host[0]"),
    ] {
        let mut builder = HostRouter::builder();
        for host in hosts {
            builder = builder.host(*host, ());
        }
        let error = builder.build().unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
}
