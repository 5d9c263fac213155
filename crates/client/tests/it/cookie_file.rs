//! Cookies: the file that a jar is kept in.

use std::time::Duration;

use bartizan_client::{Jar, SameSite};
use bartizan_testing::ManualClock;
use http::Uri;

fn uri(text: &str) -> Uri {
    text.parse().expect("a URI")
}

struct Directory(std::path::PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("bartizan-cookies-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_jar_is_kept_in_a_file() {
    let directory = Directory::new("kept");
    let path = directory.0.join("cookies.jsonl");
    let clock = ManualClock::new();
    let jar = || Jar::builder().clock(clock.clone()).build().expect("a jar");
    let first = jar();
    assert_eq!(first.load(&path).expect("none yet"), 0);
    let from = uri("https://h.example/p/q");
    first
        .add(
            &from,
            "a=\"ü;; Max-Age=60; Domain=h.example; Secure; HttpOnly; SameSite=Strict",
        )
        .expect("a cookie");
    first.add(&from, "short=1; Max-Age=5").expect("a cookie");
    first.add(&from, "session=1").expect("a cookie");
    assert_eq!(first.save(&path).expect("saved"), 2);
    assert_eq!(first.save(&path).expect("saved again"), 2);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(
        std::fs::read_dir(&directory.0)
            .expect("a directory")
            .count(),
        1,
        "nothing else is left"
    );

    clock.advance(Duration::from_secs(5));
    let second = jar();
    second
        .add(&from, "a=replaced; Domain=h.example")
        .expect("a cookie");
    assert_eq!(second.load(&path).expect("loaded"), 1);
    let [a] = &second.cookies()[..] else { panic!() };
    assert_eq!(
        a.expires(),
        first.get("h.example", "/p", "a").expect("it").expires()
    );
    assert_eq!(second.matching(&from).expect("it"), "a=\"ü");
    assert!(a.is_secure() && a.is_http_only() && !a.is_host_only());
    assert_eq!(a.same_site(), Some(SameSite::Strict));

    assert_eq!(first.save_with_session(&path).expect("saved"), 2);
    let third = jar();
    assert_eq!(third.load(&path).expect("loaded"), 2);
    assert!(
        third
            .get("h.example", "/p", "session")
            .expect("it")
            .is_host_only()
    );
}

#[test]
fn a_file_that_is_no_jar_says_where() {
    let directory = Directory::new("broken");
    let path = directory.0.join("cookies.jsonl");
    let jar = Jar::new();
    jar.add(&uri("https://h.example/"), "a=1; Max-Age=60")
        .expect("a cookie");
    jar.save(&path).expect("saved");
    let good = std::fs::read_to_string(&path).expect("text");
    let injected = good.replace("\"1\"", "\"1; b=2\"");
    let without_path = good.replace("\"/\"", "\"\"");
    let too_long = format!("\"{}\"\n", "x".repeat(2_000_000));
    for second in [
        "{}\n",
        "not json\n",
        "[]\n",
        &injected,
        &without_path,
        &too_long,
    ] {
        std::fs::write(&path, format!("{good}{second}")).expect("written");
        let jar = Jar::new();
        let error = jar.load(&path).expect_err(second);
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        assert!(error.to_string().starts_with("line 2 of "), "{error}");
        assert_eq!(jar.len(), 1);
    }
    std::fs::write(&path, format!("{good}\n\n")).expect("written");
    assert_eq!(Jar::new().load(&path).expect("empty lines are none"), 1);
    assert!(jar.save(directory.0.join("no/such/directory")).is_err());
    assert!(jar.load(&directory.0).is_err());
}
