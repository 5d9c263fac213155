//! Cookies: the jar, what it refuses, and what it drops.

use std::time::Duration;

use bartizan_client::{
    Cookie, CookieRequest, CookieStore, Jar, SameSite, SiteForCookies, ThirdParty,
};
use bartizan_testing::ManualClock;
use http::{HeaderValue, Method, Uri};

fn uri(text: &str) -> Uri {
    text.parse().expect("a URI")
}

/// Parity fact 11: a same-identity cookie replaces; an expired one deletes.
#[test]
fn the_same_identity_replaces_and_an_expired_one_deletes() {
    let jar = Jar::new();
    let from = uri("http://h.example/p/q");
    jar.add(&from, "a=1").expect("a cookie");
    jar.add(&from, "b=1").expect("a cookie");
    let created = jar.by_name("a")[0].created();
    jar.add(&from, "a=2; Path=/p; Domain=h.example")
        .expect("the same");
    jar.add(&from, "a=3; Path=/").expect("another");
    assert_eq!(jar.len(), 3);
    assert_eq!(
        jar.get("h.example", "/p", "a").expect("it").created(),
        created
    );
    assert_eq!(jar.matching(&from).expect("cookies"), "a=2; b=1; a=3");
    jar.add(&from, "a=x; Max-Age=0").expect("a deletion");
    assert_eq!(jar.matching(&from).expect("cookies"), "b=1; a=3");
    jar.add(&from, "a=x; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
        .expect("a deletion");
    assert_eq!(jar.matching(&from).expect("cookies"), "b=1");
}

#[test]
fn cookies_are_listed_found_and_removed() {
    let clock = ManualClock::new();
    let jar = Jar::builder().clock(clock.clone()).build().expect("a jar");
    jar.add(&uri("http://a.example/"), "x=1; Max-Age=10")
        .expect("a cookie");
    jar.add(&uri("http://b.a.example/"), "x=2")
        .expect("a cookie");
    jar.add(
        &uri("http://b.a.example/"),
        "y=3; Domain=a.example; HttpOnly; SameSite=Lax",
    )
    .expect("a cookie");
    let values = |cookies: Vec<Cookie>| {
        cookies
            .iter()
            .map(|cookie| cookie.value().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(values(jar.cookies()), ["1", "2", "3"]);
    assert_eq!(values(jar.by_name("x")), ["1", "2"]);
    assert_eq!(values(jar.by_domain("a.example")), ["1", "3"]);
    let y = jar.get("a.example", "/", "y").expect("it");
    assert!(y.is_http_only() && !y.is_secure() && !y.is_host_only());
    assert_eq!((y.same_site(), y.expires()), (Some(SameSite::Lax), None));
    assert!(!format!("{y:?}").contains('3') && !format!("{jar:?}").contains('3'));

    clock.advance(Duration::from_secs(10));
    assert_eq!(values(jar.cookies()), ["2", "3"]);
    assert_eq!(jar.len(), 2);
    assert_eq!(jar.remove("a.example", "/", "x"), None, "it has expired");
    assert_eq!(jar.remove("a.example", "/", "y").expect("it").value(), "3");
    assert_eq!(jar.remove_domain("b.a.example"), 1);
    jar.add(&uri("http://c.example/"), "z=4; Max-Age=5")
        .expect("a cookie");
    jar.add(&uri("http://c.example/"), "s=5").expect("a cookie");
    assert_eq!(jar.end_session(), 1);
    clock.advance(Duration::from_secs(5));
    assert_eq!(jar.remove_expired(), 1);
    jar.add(&uri("http://c.example/"), "z=4").expect("a cookie");
    jar.clear();
    assert!(jar.is_empty());
}

#[test]
fn a_full_jar_drops_what_was_not_used_for_longest() {
    let jar = Jar::builder().per_site(3).total(5).build().expect("a jar");
    let (a, b) = (uri("https://x.a.example/"), uri("https://b.example/"));
    for cookie in ["1=1", "2=2; Path=/p", "3=3"] {
        jar.add(&a, cookie).expect("a cookie");
    }
    assert_eq!(jar.matching(&a).expect("cookies"), "1=1; 3=3");
    // Another host of the same owner, so it is that owner's which goes.
    jar.add(&uri("https://y.a.example/"), "4=4")
        .expect("a cookie");
    let names = || {
        jar.cookies()
            .iter()
            .map(|cookie| cookie.name().to_owned())
            .collect::<String>()
    };
    assert_eq!(names(), "134");
    jar.add(&b, "5=5").expect("a cookie");
    jar.add(&b, "6=6").expect("a cookie");
    assert_eq!(names(), "13456");
    // The total is reached, and 1 was used before 3, in the same request.
    jar.add(&uri("https://c.example/"), "7=7")
        .expect("a cookie");
    assert_eq!(names(), "34567");
    // One in place of another takes no room.
    jar.add(&b, "6=8").expect("a cookie");
    assert_eq!(names(), "34567");
}

#[test]
fn those_that_have_expired_go_first() {
    let clock = ManualClock::new();
    let jar = Jar::builder()
        .clock(clock.clone())
        .per_site(2)
        .total(3)
        .build()
        .expect("a jar");
    let a = uri("https://a.example/");
    jar.add(&a, "old=1").expect("a cookie");
    jar.add(&a, "short=1; Max-Age=1").expect("a cookie");
    jar.add(&uri("https://b.example/"), "b=1; Max-Age=1")
        .expect("a cookie");
    clock.advance(Duration::from_secs(1));
    jar.add(&a, "new=1").expect("a cookie");
    assert_eq!(jar.matching(&a).expect("cookies"), "old=1; new=1");
    jar.add(&uri("https://c.example/"), "c=1")
        .expect("a cookie");
    assert_eq!(jar.len(), 3);
}

#[test]
fn a_server_that_sets_cookies_without_end_fills_only_its_own_share() {
    let jar = Jar::new();
    jar.add(&uri("https://good.example/"), "keep=1")
        .expect("a cookie");
    for n in 0..5000 {
        let host = uri(&format!("https://h{}.evil.example/", n % 100));
        jar.add(&host, &format!("c{n}=1; Domain=evil.example"))
            .expect("a cookie");
        jar.add(&host, &format!("d{n}=1")).expect("a cookie");
    }
    assert_eq!(jar.len(), 51);
    assert!(jar.get("good.example", "/", "keep").is_some());
}

#[test]
fn what_is_refused_says_why() {
    let jar = Jar::new();
    let refused = |from: &str, cookie: &str| {
        let error = jar.add(&uri(from), cookie).expect_err(cookie);
        assert!(jar.is_empty());
        error
    };
    for domain in [
        "com",
        ".co.uk",
        "github.io",
        "corp",
        "other.example",
        "b.h.example",
        "ample",
        ".",
    ] {
        let error = refused("https://h.example/", &format!("a=1; Domain={domain}"));
        assert!(error.is_domain(), "{domain}: {error}");
    }
    assert!(refused("https://a.github.io/", "a=1; Domain=github.io").is_domain());
    assert!(refused("http://127.0.0.1/", "a=1; Domain=0.0.1").is_domain());
    for (from, cookie) in [
        ("http://h.example/", "a=1; Secure"),
        ("https://h.example/", "__Secure-a=1"),
        ("https://h.example/", "__SECURE-a=1"),
        ("https://h.example/", "__Host-a=1; Secure"),
        ("https://h.example/", "__Host-a=1; Secure; Path=/a"),
        ("https://h.example/", "__Host-a=1; Path=/"),
        (
            "https://h.example/",
            "__host-a=1; Secure; Path=/; Domain=h.example",
        ),
    ] {
        let error = refused(from, cookie);
        assert!(error.is_insecure(), "{cookie}: {error}");
    }
    assert!(refused("https://h.example/", "a").is_syntax());
    assert!(refused("/relative", "a=1").to_string().contains("URI"));
    for cookie in [
        "__Host-a=1; Secure; Path=/",
        "__Secure-a=1; Secure; Domain=h.example",
    ] {
        jar.add(&uri("https://h.example/"), cookie).expect(cookie);
    }
}

#[test]
fn a_host_that_is_a_public_suffix_has_cookies_for_itself() {
    let jar = Jar::new();
    for (host, below) in [("github.io", "a.github.io"), ("localhost", "a.localhost")] {
        jar.add(
            &uri(&format!("https://{host}/")),
            &format!("a=1; Domain={host}"),
        )
        .expect("its own");
        assert!(jar.matching(&uri(&format!("https://{host}/"))).is_some());
        assert!(jar.matching(&uri(&format!("https://{below}/"))).is_none());
    }
}

#[test]
fn secure_cookies_are_left_alone_by_http() {
    let jar = Jar::new();
    jar.add(
        &uri("https://h.example/a"),
        "id=1; Secure; Domain=h.example; Path=/a",
    )
    .expect("a cookie");
    assert_eq!(jar.matching(&uri("http://h.example/a")), None);
    for (from, cookie) in [
        ("http://h.example/a", "id=evil"),
        ("http://h.example/a", "id=evil; Path=/a; Max-Age=0"),
        ("http://x.h.example/a/b", "id=evil"),
        ("http://x.h.example/a/b", "id=evil; Path=/a/b"),
    ] {
        let result = jar.add(&uri(from), cookie);
        // With the default path `/` it would not be sent before the other.
        assert_eq!(
            result.is_err_and(|error| error.is_insecure()),
            !cookie.ends_with("evil") || from.ends_with('b'),
            "{from} {cookie}"
        );
    }
    assert_eq!(jar.get("h.example", "/a", "id").expect("it").value(), "1");
    jar.add(&uri("http://localhost/"), "dev=1; Secure")
        .expect("this machine");
    assert_eq!(
        jar.matching(&uri("http://localhost/")).expect("it"),
        "dev=1"
    );
}

#[test]
fn third_parties_are_blocked_and_same_site_is_kept() {
    let cookies = [
        "u=1",
        "l=2; SameSite=Lax",
        "s=3; SameSite=Strict",
        "n=4; SameSite=None; Secure",
        "x=5; SameSite=None",
    ];
    let target = uri("https://api.shop.example/");
    let all = |jar: &Jar| {
        for cookie in cookies {
            jar.add(&target, cookie).expect("a cookie");
        }
    };
    let sent = |jar: &Jar, method: &Method, site: &SiteForCookies| {
        let request = CookieRequest::new(&target, method).for_site(site);
        jar.cookie_header(&request)
            .map(|value| value.to_str().expect("text").to_owned())
    };
    let (block, allow) = (
        Jar::new(),
        Jar::builder()
            .third_party(ThirdParty::Allow)
            .build()
            .expect("a jar"),
    );
    all(&block);
    all(&allow);
    let everything = "u=1; l=2; s=3; n=4; x=5";

    let own = SiteForCookies::new(uri("https://www.shop.example/page"));
    assert_eq!(
        sent(&block, &Method::POST, &own).as_deref(),
        Some(everything)
    );
    for elsewhere in [
        "https://news.example/",
        "http://www.shop.example/",
        "/no-host",
    ] {
        let foreign = SiteForCookies::new(uri(elsewhere));
        assert_eq!(sent(&block, &Method::GET, &foreign), None, "{elsewhere}");
        assert_eq!(
            sent(&allow, &Method::GET, &foreign).as_deref(),
            Some("n=4"),
            "{elsewhere}"
        );
    }
    let link = SiteForCookies::navigation(uri("https://news.example/"));
    assert_eq!(
        sent(&block, &Method::GET, &link).as_deref(),
        Some("u=1; l=2; n=4; x=5")
    );
    assert_eq!(sent(&block, &Method::POST, &link).as_deref(), Some("n=4"));

    let foreign = SiteForCookies::new(uri("https://news.example/"));
    let set = |jar: &Jar, site: &SiteForCookies, cookie: &'static str| {
        let before = jar.len();
        let request = CookieRequest::new(&target, &Method::GET).for_site(site);
        jar.set_cookies(&request, &mut [HeaderValue::from_static(cookie)].iter());
        jar.len() > before
    };
    assert!(!set(&block, &foreign, "new=1; SameSite=None; Secure"));
    assert!(!set(&allow, &foreign, "new=1"));
    assert!(!set(&allow, &foreign, "new=1; SameSite=None"));
    assert!(set(&allow, &foreign, "new=1; SameSite=None; Secure"));
    assert!(set(&block, &link, "new=1; SameSite=Strict"));
}

proptest::proptest! {
    /// Whatever is set, no more is kept than may be, and only what could have been set is sent.
    #[test]
    fn limits_hold_whatever_is_set(
        sets in proptest::collection::vec(("[a-d]", "[a-c]{1,2}", 0_u8..4, "(; (Secure|Max-Age=[0-9]|Path=/[pq]|Domain=[a-c]?\\.?s[0-3]\\.example))*"), 0..60),
    ) {
        let clock = ManualClock::new();
        let jar = Jar::builder().clock(clock.clone()).per_site(4).total(9).build().expect("a jar");
        for (name, host, site, attributes) in sets {
            let from = uri(&format!("http://{host}.s{site}.example/p"));
            let _ = jar.add(&from, &format!("{name}=1{attributes}"));
            clock.advance(Duration::from_secs(1));
            assert!(jar.len() <= 9);
            let own = jar.cookies().iter().filter(|cookie| cookie.domain().ends_with(&format!("s{site}.example"))).count();
            assert!(own <= 4);
            for pair in jar.matching(&from).unwrap_or_default().split("; ").filter(|pair| !pair.is_empty()) {
                assert!(pair.ends_with("=1"), "{pair}");
            }
        }
    }
}
