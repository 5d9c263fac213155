//! Settings that change while they are in use.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use bartizan_tls::{ClientAuth, Stage};
use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::yield_now,
};
use tower::Service;

use crate::support::{
    Authority, acceptor, answer, bind, client_tls, clock, connect, connector, listener_tls, meet,
    provider,
};

#[tokio::test]
async fn a_new_certificate_is_shown_from_then_on() {
    let root = Authority::root("root");
    let (old, new) = (
        root.server(&["a.test"], |_| {}),
        root.server(&["a.test"], |_| {}),
    );
    let listener = acceptor(listener_tls(&old));
    let client = connector(client_tls(&root));
    let (info, _) = meet(&client, &listener, "a.test").await.both();
    assert_eq!(info.peer_certificate(), Some(&*old.chain[0]));

    let identity = new.identity();
    listener
        .handle()
        .update(|settings| settings.no_identities().identity(identity.clone()))
        .unwrap();
    let (info, _) = meet(&client, &listener, "a.test").await.both();
    assert_eq!(info.peer_certificate(), Some(&*new.chain[0]));
    assert!(!info.is_resumed());
}

#[tokio::test]
async fn a_new_identity_of_a_client_is_shown_from_then_on() {
    let root = Authority::root("root");
    let listener = acceptor(
        listener_tls(&root.server(&["a.test"], |_| {}))
            .client_auth(ClientAuth::Required(root.anchors())),
    );
    let client = connector(client_tls(&root));
    let met = meet(&client, &listener, "a.test").await;
    assert_eq!(met.listener_error().stage(), Stage::Verify);

    let identity = root.client(&["c.test"], |_| {}).identity();
    let handle = client.handle();
    handle
        .update(|settings| settings.identity(identity.clone()))
        .unwrap();
    meet(&client, &listener, "a.test").await.both();

    handle.reload(handle.settings().no_identity()).unwrap();
    let met = meet(&client, &listener, "a.test").await;
    assert!(met.listener_error().is_certificate());
}

#[tokio::test]
async fn settings_that_cannot_be_used_leave_the_old_ones() {
    let root = Authority::root("root");
    let listener = acceptor(listener_tls(&root.server(&["a.test"], |_| {})));
    let client = connector(client_tls(&root));

    let error = listener
        .handle()
        .update(bartizan_tls::ListenerTls::no_identities)
        .unwrap_err();
    assert_eq!(error.field(), "identity");
    let error = listener
        .handle()
        .update(|settings| settings.suites(["TLS_NULL_WITH_NULL_NULL"]))
        .unwrap_err();
    assert_eq!(error.value(), "TLS_NULL_WITH_NULL_NULL");
    let error = client
        .handle()
        .update(|settings| settings.server_name("not a name"))
        .unwrap_err();
    assert_eq!(error.field(), "server_name");

    meet(&client, &listener, "a.test").await.both();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_under_load_loses_no_connection() {
    const CLIENTS: usize = 8;
    const EACH: usize = 25;

    let root = Authority::root("root");
    let leaves = [
        root.server(&["a.test"], |_| {}).identity(),
        root.server(&["a.test"], |_| {}).identity(),
    ];
    let listener = acceptor(
        bartizan_tls::ListenerTls::new(provider())
            .identity(leaves[0].clone())
            .clock(clock()),
    );
    let (socket, addr) = bind().await;

    let handle = listener.handle();
    let done = Arc::new(AtomicBool::new(false));
    let reloads = Arc::new(AtomicUsize::new(0));
    let reloading = tokio::spawn({
        let (done, reloads) = (Arc::clone(&done), Arc::clone(&reloads));
        async move {
            while !done.load(Ordering::Relaxed) {
                let n = reloads.fetch_add(1, Ordering::Relaxed);
                let leaf = leaves[n % 2].clone();
                handle
                    .update(|settings| settings.no_identities().identity(leaf.clone()))
                    .unwrap();
                yield_now().await;
            }
        }
    });
    let serving = tokio::spawn(async move {
        for _ in 0..CLIENTS * EACH {
            let (io, _) = socket.accept().await.unwrap();
            let mut listener = listener.clone();
            tokio::spawn(async move {
                let mut stream = listener.call(io).await.unwrap();
                answer(&mut stream).await;
            });
        }
    });

    let client = connector(client_tls(&root));
    join_all((0..CLIENTS).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            for _ in 0..EACH {
                let mut stream = connect(&client, addr, "a.test").await.unwrap();
                stream.write_all(b"?").await.unwrap();
                stream.flush().await.unwrap();
                stream.read_exact(&mut [0]).await.unwrap();
            }
        })
    }))
    .await
    .into_iter()
    .for_each(|client| client.unwrap());
    serving.await.unwrap();
    done.store(true, Ordering::Relaxed);
    reloading.await.unwrap();
    assert!(reloads.load(Ordering::Relaxed) > 10, "nothing was reloaded");
}

#[test]
fn ten_thousand_reloads_leak_nothing() {
    let root = Authority::root("root");
    let leaves = [(); 2].map(|()| root.server(&["a.test"], |_| {}));
    let identities = leaves.each_ref().map(crate::support::Leaf::identity);
    let listener =
        acceptor(listener_tls(&leaves[0]).client_auth(ClientAuth::Required(root.anchors())));
    let client = connector(client_tls(&root));
    // Both ends keep the clock of their settings wherever they keep the settings.
    let held = Arc::new(());
    let ticking = |held: &Arc<()>| {
        let held = Arc::clone(held);
        move || {
            let _ = &held;
            std::time::SystemTime::UNIX_EPOCH
        }
    };
    for reload in 0..10_000 {
        let identity = &identities[reload % 2];
        let before = Arc::clone(&held);
        listener
            .handle()
            .update(|settings| {
                let settings = settings.no_identities().identity(identity.clone());
                settings.clock(ticking(&before))
            })
            .unwrap();
        client
            .handle()
            .update(|settings| settings.identity(identity.clone()).clock(ticking(&before)))
            .unwrap();
        drop(before);
        // One here, and one at each end: a clock is shared by everything of its end.
        assert!(Arc::strong_count(&held) <= 3);
    }
    drop((client, listener));
    assert_eq!(Arc::strong_count(&held), 1);
}
