//! sslyze's opinion of our listener, by Mozilla's intermediate profile.
//!
//! Without `sslyze` on the machine this test says so, and passes.

use std::process::Stdio;

use time::{Duration, OffsetDateTime};
use tokio::process::Command;
use tower::Service;

use crate::support::{Authority, acceptor, answer, bind, listener_tls};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_defaults_of_a_listener_are_mozillas_intermediate_profile() {
    // It lives in the present.
    let now = OffsetDateTime::now_utc();
    let valid = |p: &mut rcgen::CertificateParams| {
        p.not_before = now - Duration::days(1);
        p.not_after = now + Duration::days(60);
        p.use_authority_key_identifier_extension = true;
    };
    let root = Authority::root_with("root", valid);
    let trusted = std::env::temp_dir().join(format!("bartizan-tls-sslyze-{}", std::process::id()));
    std::fs::write(&trusted, &root.pem).unwrap();
    let listener = acceptor(listener_tls(&root.server(&["localhost"], valid)));
    let (socket, addr) = bind().await;
    let serving = tokio::spawn(async move {
        loop {
            let (io, _) = socket.accept().await.unwrap();
            let mut listener = listener.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = listener.call(io).await {
                    answer(&mut stream).await;
                }
            });
        }
    });
    let judged = Command::new("sslyze")
        .arg("--mozilla_config=intermediate")
        .arg("--certinfo_ca_file")
        .arg(&trusted)
        .arg(format!("localhost:{}", addr.port()))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    serving.abort();
    std::fs::remove_file(&trusted).unwrap();
    let Ok(judged) = judged else {
        bartizan_testing::skipped("sslyze", "there is no sslyze");
        return;
    };
    let told = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{told}");
    assert!(told.contains("OK - Compliant"), "{told}");
}
