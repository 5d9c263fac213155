//! On whose behalf requests are made.

use std::net::IpAddr;

use bartizan_client::{
    ForwardedElement, ForwardedHeaders, ForwardedLayer, ForwardedMode, ForwardedNode,
};
use bartizan_core::{Body, BoxError};
use bartizan_testing::contract;
use http::{Request, Response};
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};

/// What is sent: the headers in alphabetical order, a field in each line.
async fn sent(
    layer: ForwardedLayer,
    own: &[(&'static str, &'static str)],
    element: Option<ForwardedElement>,
) -> Vec<String> {
    let echo = service_fn(|request: Request<Body>| async move {
        let mut fields: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
            .collect();
        fields.sort();
        Ok::<_, BoxError>(Response::new(fields))
    });
    let mut request = Request::get("/").body(Body::empty()).expect("a request");
    for (name, value) in own {
        request
            .headers_mut()
            .append(*name, value.parse().expect("a value"));
    }
    if let Some(element) = element {
        request.extensions_mut().insert(element);
    }
    let client = ServiceBuilder::new().layer(layer).service(echo);
    client
        .oneshot(request)
        .await
        .expect("an answer")
        .into_body()
}

fn of_peer() -> ForwardedElement {
    let peer: IpAddr = "192.0.2.9".parse().expect("an address");
    ForwardedElement::new()
        .on_behalf_of(peer)
        .try_host("shop.example")
        .and_then(|element| element.try_proto("https"))
        .expect("an element")
}

#[tokio::test]
async fn each_mode_does_what_the_table_says() {
    let both = [
        ("forwarded", "for=_a"),
        ("forwarded", "for=_b"),
        ("x-forwarded-for", "192.0.2.1"),
    ];
    let with = |mode| ForwardedLayer::new().mode(mode);
    let element = || Some(of_peer());

    let as_it_was = [
        "forwarded: for=_a",
        "forwarded: for=_b",
        "x-forwarded-for: 192.0.2.1",
    ];
    assert_eq!(
        sent(with(ForwardedMode::Disable), &both, element()).await,
        as_it_was
    );
    assert_eq!(
        sent(with(ForwardedMode::Enable), &both, None).await,
        as_it_was
    );
    assert_eq!(
        sent(
            with(ForwardedMode::Enable),
            &both,
            Some(ForwardedElement::new())
        )
        .await,
        as_it_was
    );
    assert_eq!(
        sent(with(ForwardedMode::Enable), &both, element()).await,
        [
            "forwarded: for=_a, for=_b, for=192.0.2.9;host=shop.example;proto=https",
            "x-forwarded-for: 192.0.2.1"
        ]
    );
    assert_eq!(
        sent(with(ForwardedMode::Transition), &both, element()).await,
        ["forwarded: for=_a, for=_b, for=192.0.2.9;host=shop.example;proto=https"]
    );
    assert_eq!(
        sent(with(ForwardedMode::Remove), &both, element()).await,
        [""; 0]
    );
}

#[tokio::test]
async fn a_transition_makes_one_header_of_the_old_ones() {
    let transition = ForwardedLayer::new().mode(ForwardedMode::Transition);
    for (own, forwarded) in [
        (
            &[
                ("x-forwarded-for", "192.0.2.1, 2001:db8::2"),
                ("x-forwarded-for", "garbage"),
            ][..],
            &["forwarded: for=192.0.2.1, for=\"[2001:db8::2]\", for=unknown"][..],
        ),
        (
            &[
                ("x-forwarded-proto", "https, http"),
                ("x-forwarded-host", "h.example:81"),
            ],
            &["forwarded: host=\"h.example:81\";proto=https"],
        ),
        (
            &[
                ("x-forwarded-for", "10.0.0.1"),
                ("x-forwarded-host", "a b\"c"),
                ("x-forwarded-proto", "\""),
            ],
            &["forwarded: for=10.0.0.1"],
        ),
        (&[("x-forwarded-host", "\"")], &[]),
    ] {
        assert_eq!(
            sent(transition.clone(), own, None).await,
            forwarded,
            "{own:?}"
        );
    }
}

#[tokio::test]
async fn a_transition_keeps_the_last_of_too_many_hops() {
    let many: &'static str = (0..200)
        .map(|n| format!("10.0.0.{n}"))
        .collect::<Vec<_>>()
        .join(",")
        .leak();
    let transition = ForwardedLayer::new().mode(ForwardedMode::Transition);
    let fields = sent(transition, &[("x-forwarded-for", many)], None).await;
    let [field] = &fields[..] else {
        panic!("{fields:?}")
    };
    assert_eq!(field.split(", ").count(), 64);
    assert!(field.ends_with("for=10.0.0.199"));
}

#[tokio::test]
async fn the_old_headers_are_written_where_they_are_asked_for() {
    let own = [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "http"),
    ];
    let legacy = ForwardedLayer::new().headers(ForwardedHeaders::Legacy);
    let old = [
        "x-forwarded-for: 192.0.2.1, 192.0.2.9",
        "x-forwarded-host: shop.example",
        "x-forwarded-proto: http",
    ];
    assert_eq!(sent(legacy, &own, Some(of_peer())).await, old);
    let both = ForwardedLayer::new()
        .headers(ForwardedHeaders::Both)
        .element(of_peer());
    let fields = sent(both.clone(), &own, None).await;
    assert_eq!(
        fields[0],
        "forwarded: for=192.0.2.9;host=shop.example;proto=https"
    );
    assert_eq!(fields[1..], old);
    let other = ForwardedElement::new().on_behalf_of(ForwardedNode::unknown());
    assert_eq!(
        sent(both, &[], Some(other)).await,
        ["forwarded: for=unknown", "x-forwarded-for: unknown"]
    );
}

#[test]
fn names_that_hide_an_address() {
    let (one, other) = (ForwardedNode::random(), ForwardedNode::random());
    assert_ne!(one, other);
    assert_eq!(
        ForwardedNode::try_obfuscated(one.obfuscated().expect("a name")).expect("one"),
        one
    );
    for wrong in ["gateway", "_", "_a b", "_ü"] {
        assert!(ForwardedNode::try_obfuscated(wrong).is_err(), "{wrong}");
    }
    for wrong in ["", "a b", "me@h", "h/a", "\""] {
        assert!(ForwardedElement::new().try_host(wrong).is_err(), "{wrong}");
        assert!(ForwardedElement::new().try_proto(wrong).is_err(), "{wrong}");
    }
}

contract! {
    mod forwarded_layer {
        layer: |probe| ForwardedLayer::new().element(of_peer()).layer(probe),
        request: || Request::get("/").body(Body::empty()).expect("a request"),
        response: || Response::new(Body::empty()),
    }
}
