//! The whole of it, against a CA that misbehaves as it is told, in time that is passed by hand.

use std::{
    error::Error as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use bartizan_core::BoxError;
use bartizan_tls::{
    Identity,
    acme::{Acme, AcmeBuilder, AcmeHandle, Challenge, Challenges},
};
use tokio::{sync::mpsc, task::JoinHandle};
use tower::service_fn;

use super::{
    Folder,
    ca::{Ca, Fault},
};
use crate::support::{chain, now, provider};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(60 * 60 * 24);

fn ca() -> Ca {
    Ca::new(now(), 90 * DAY)
}

fn builder(ca: &Ca, folder: &Folder) -> AcmeBuilder {
    let (asked, clock) = (ca.clone(), ca.clone());
    Acme::builder(&provider(), "https://ca.test/directory", &folder.0)
        .name("A.test")
        .contact("mailto:ops@a.test")
        .agree_to_terms()
        .challenge(Challenge::Http01)
        .client(service_fn(move |request| asked.clone().call(request)))
        .clock(move || clock.now())
}

/// An [`Acme`] at work.
struct Run {
    handle: AcmeHandle,
    challenges: Challenges,
    installed: mpsc::UnboundedReceiver<Identity>,
    running: JoinHandle<std::convert::Infallible>,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn run(ca: &Ca, folder: &Folder) -> Run {
    run_with(ca, folder, |_| Ok(()))
}

fn run_with(
    ca: &Ca,
    folder: &Folder,
    install: impl Fn(&Identity) -> Result<(), BoxError> + Send + 'static,
) -> Run {
    let acme = builder(ca, folder).build().unwrap();
    ca.look_at(acme.challenges());
    let (send, installed) = mpsc::unbounded_channel();
    let (handle, challenges) = (acme.handle(), acme.challenges());
    let running = tokio::spawn(acme.run(move |identity| {
        install(&identity)?;
        send.send(identity)?;
        Ok::<_, BoxError>(())
    }));
    Run {
        handle,
        challenges,
        installed,
        running,
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_had_kept_and_renewed() {
    let (ca, folder) = (ca(), Folder::new());
    let mut run = run(&ca, &folder);
    run.handle.installed().await.unwrap();
    let first = run.installed.recv().await.unwrap();
    assert!(first.covers("a.test"));
    assert!(run.handle.next_order().unwrap() > now() + 56 * DAY);
    // The key authorization: the token, and who has the account.
    assert!(
        ca.answers()[0].starts_with("a-token."),
        "{:?}",
        ca.answers()
    );
    // Nothing is answered any more.
    assert!(format!("{:?}", run.challenges).contains("files: 0"));

    let second = run.installed.recv().await.unwrap();
    let passed = ca.orders()[1] - ca.orders()[0];
    assert!((57 * DAY..63 * DAY).contains(&passed), "{passed:?}");
    assert_ne!(first.chain(), second.chain());
    assert_eq!(ca.accounts(), 1);
    assert!(run.handle.last_error().is_none());

    // Whoever comes after it has the second, and asks for none.
    drop(run);
    let mut next = super::scripted::run(&ca, &folder);
    next.handle.installed().await.unwrap();
    assert_eq!(next.installed.recv().await.unwrap().chain(), second.chain());
    assert_eq!((ca.orders().len(), ca.accounts()), (2, 1));
    // And the account: the third is ordered by it.
    next.installed.recv().await.unwrap();
    assert_eq!((ca.orders().len(), ca.accounts()), (3, 1));
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn what_is_kept_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (ca, folder) = (ca(), Folder::new());
    let mut run = run(&ca, &folder);
    run.installed.recv().await.unwrap();
    for kept in ["account-", "certificate-"] {
        let file = folder.file(kept).expect(kept);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{kept}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_later_and_later_and_told() {
    let all = [
        (Fault::Down, "the CA gives no account | connection refused"),
        (
            Fault::Silent,
            "the CA gives no account | no answer within 30s",
        ),
        (Fault::Garbage, "the CA takes no order | "),
        (
            Fault::Endless,
            "the CA takes no order | the answer has more than 262144 bytes",
        ),
        (
            Fault::Invalid,
            "the validation of `a.test` failed; check that the CA reaches this process under that name | API error: not what was expected",
        ),
        (
            Fault::OtherName,
            "the CA wants to validate a name that was not ordered",
        ),
        (
            Fault::ForAnotherName,
            "the certificate cannot be used: it is not for `a.test`",
        ),
        (
            Fault::ForAnotherKey,
            "the certificate cannot be used | loading an identity: the key is not",
        ),
        (
            Fault::Expired,
            "the certificate cannot be used: it has expired; check the clock",
        ),
    ];
    for (fault, expected) in all {
        let (ca, folder) = (ca(), Folder::new());
        ca.fail(fault);
        let mut run = run(&ca, &folder);
        let error = run.handle.installed().await.unwrap_err();
        let told = chain(&*error);
        assert!(told.starts_with(expected), "{fault:?}: {told}");
        assert!(error.to_string().len() < 200, "{error}");
        tokio::time::sleep(40 * MINUTE).await;
        if !matches!(fault, Fault::Down | Fault::Silent) {
            let minutes = ca
                .orders()
                .iter()
                .map(|at| at.as_secs() / 60)
                .collect::<Vec<_>>();
            assert_eq!(minutes, [0, 5, 15, 35], "{fault:?}");
        }
        // Nothing is left over, neither for clients nor for CAs.
        assert!(run.installed.try_recv().is_err(), "{fault:?}");
        assert!(folder.file("certificate-").is_none(), "{fault:?}");
        assert!(format!("{:?}", run.challenges).contains("files: 0"));

        ca.fail(None);
        run.installed.recv().await.unwrap();
        assert!(run.handle.last_error().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_leaves_what_is_there() {
    let (ca, folder) = (ca(), Folder::new());
    let mut run = run(&ca, &folder);
    run.installed.recv().await.unwrap();
    let until = run.handle.not_after().unwrap();
    ca.fail(Fault::Invalid);
    tokio::time::sleep(64 * DAY).await;
    let error = run.handle.last_error().expect("it was tried");
    assert_eq!(
        error.problem(),
        Some("urn:ietf:params:acme:error:unauthorized")
    );
    assert_eq!(run.handle.not_after(), Some(until));
    // The next try is told.
    let next = run.handle.next_order().unwrap();
    assert!(next > ca.now() && next <= ca.now() + 6 * HOUR);
    // It can still be installed again.
    drop(run);
    let mut next = super::scripted::run(&ca, &folder);
    next.handle.installed().await.unwrap();
    assert!(next.installed.try_recv().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_wants_to_be_left_alone_is_and_for_no_more_than_a_day() {
    for (wait, hours) in [
        ("7200", 2),
        ("18446744073709551615", 24),
        ("99999999999999999999", 24),
    ] {
        let (ca, folder) = (ca(), Folder::new());
        ca.fail(Fault::RateLimited(wait));
        let mut run = run(&ca, &folder);
        let error = run.handle.installed().await.unwrap_err();
        assert_eq!(
            error.problem(),
            Some("urn:ietf:params:acme:error:rateLimited")
        );
        assert!(
            error
                .source()
                .unwrap()
                .to_string()
                .contains("too many certificates")
        );
        ca.fail(None);
        run.installed.recv().await.unwrap();
        let passed = ca.orders()[1] - ca.orders()[0];
        assert_eq!(passed.as_secs() / 3600, hours, "{wait}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_the_ca_has_lost_is_made_anew_at_once() {
    let (ca, folder) = (ca(), Folder::new());
    let mut first = run(&ca, &folder);
    first.installed.recv().await.unwrap();
    ca.fail(Fault::NoAccount);
    first.installed.recv().await.unwrap();
    let orders = ca.orders();
    assert_eq!((orders.len(), ca.accounts()), (3, 2));
    assert!(orders[2] - orders[1] < MINUTE);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_installed_is_not_ordered_again() {
    let (ca, folder) = (ca(), Folder::new());
    let failures = Arc::new(Mutex::new(3));
    let mut run = run_with(&ca, &folder, move |_| {
        let mut left = failures.lock().unwrap();
        if *left == 0 {
            return Ok(());
        }
        *left -= 1;
        Err("the listener does not want it".into())
    });
    let error = run.handle.installed().await.unwrap_err();
    assert_eq!(
        chain(&*error),
        "the new certificate could not be installed | the listener does not want it"
    );
    run.installed.recv().await.unwrap();
    assert_eq!(ca.orders().len(), 1);
    assert_eq!(ca.now().duration_since(now()).unwrap().as_secs() / 60, 35);
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_and_does_not_count_is_ordered_anew() {
    let (ca, folder) = (ca(), Folder::new());
    let mut first = run(&ca, &folder);
    let kept = first.installed.recv().await.unwrap();
    drop(first);
    let file = folder.file("certificate-").unwrap();
    let pem = std::fs::read_to_string(&file).unwrap();
    let key_only = pem
        .split_inclusive("-----END PRIVATE KEY-----")
        .next()
        .unwrap();
    for (spoil, pem) in [
        ("cut off", &pem[..pem.len() / 2]),
        ("empty", ""),
        ("without its certificate", key_only),
        ("endless", &"\n".repeat(300_000)),
    ] {
        std::fs::write(&file, pem).unwrap();
        let mut run = run(&ca, &folder);
        let other = run.installed.recv().await.unwrap();
        assert_ne!(other.chain(), kept.chain(), "{spoil}");
    }
    assert_eq!((ca.orders().len(), ca.accounts()), (5, 1));
    // So is one that has expired.
    tokio::time::sleep(91 * DAY).await;
    run(&ca, &folder).installed.recv().await.unwrap();
    assert_eq!(ca.orders().len(), 6);
    // An account that cannot be read is made anew.
    std::fs::write(folder.file("account-").unwrap(), "{").unwrap();
    std::fs::remove_file(&file).unwrap();
    run(&ca, &folder).installed.recv().await.unwrap();
    assert_eq!(ca.accounts(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_another_directory_has_issued_does_not_count() {
    let (ca, folder) = (ca(), Folder::new());
    run(&ca, &folder).installed.recv().await.unwrap();
    let (asked, clock) = (ca.clone(), ca.clone());
    let other = Acme::builder(&provider(), "https://ca.test/directory?", &folder.0)
        .name("a.test")
        .contact("mailto:ops@a.test")
        .agree_to_terms()
        .challenge(Challenge::Http01)
        .client(service_fn(move |request| asked.clone().call(request)))
        .clock(move || clock.now())
        .build()
        .unwrap();
    ca.look_at(other.challenges());
    let mut handle = other.handle();
    let running = tokio::spawn(other.run(|_| Ok::<_, BoxError>(())));
    handle.installed().await.unwrap();
    running.abort();
    assert_eq!((ca.orders().len(), ca.accounts()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn the_ca_has_a_say_in_when_to_renew() {
    let (ca, folder) = (ca(), Folder::new());
    ca.suggest((now() + 10 * DAY, now() + 11 * DAY));
    let mut run = run(&ca, &folder);
    run.installed.recv().await.unwrap();
    run.installed.recv().await.unwrap();
    let passed = ca.orders()[1];
    assert!((10 * DAY..11 * DAY + HOUR).contains(&passed), "{passed:?}");
    let replaced = ca.replaced();
    assert_eq!(replaced[0], None);
    let id = replaced[1]
        .as_deref()
        .expect("the CA is told what it replaces");
    assert_eq!(id.split('.').count(), 2, "{id}");
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_wants_it_renewed_all_the_time_is_obeyed_once_an_hour() {
    let (ca, folder) = (ca(), Folder::new());
    ca.suggest((now() - 2 * DAY, now() - DAY));
    let _run = run(&ca, &folder);
    tokio::time::sleep(10 * HOUR).await;
    let orders = ca.orders().len();
    assert!((8..=11).contains(&orders), "{orders}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_one_that_nobody_runs_is_told() {
    let (ca, folder) = (ca(), Folder::new());
    let acme = builder(&ca, &folder).build().unwrap();
    let mut handle = acme.handle();
    drop(acme);
    let error = handle.installed().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "nobody runs the future that orders certificates"
    );
}

#[test]
fn what_cannot_be_is_found_when_it_is_built() {
    let folder = Folder::new();
    let new = |directory: &str| {
        Acme::builder(&provider(), directory, &folder.0).client(service_fn(|_| async {
            Err::<http::Response<bartizan_core::Body>, _>(BoxError::from(""))
        }))
    };
    let ca = "https://ca.test/directory";
    for (builder, field) in [
        (
            new("http://ca.test/directory")
                .name("a.test")
                .agree_to_terms(),
            "directory",
        ),
        (
            new("directory").name("a.test").agree_to_terms(),
            "directory",
        ),
        (new(ca).agree_to_terms(), "name"),
        (new(ca).name("*.a.test").agree_to_terms(), "name"),
        (new(ca).name("192.0.2.1").agree_to_terms(), "name"),
        (new(ca).name("a b").agree_to_terms(), "name"),
        (new(ca).name("a.test"), "terms"),
        (
            Acme::builder(&provider(), ca, &folder.0)
                .name("a.test")
                .agree_to_terms(),
            "client",
        ),
    ] {
        assert_eq!(builder.build().unwrap_err().field(), field);
    }
    let secret = new(ca)
        .name("a.test")
        .agree_to_terms()
        .external_account("kid", *b"hunter2");
    let mut shown = format!("{secret:?}");
    shown += &format!("{:?}", secret.build().unwrap());
    assert!(
        !shown.contains("hunter2") && !shown.contains("104, 117, 110"),
        "{shown}"
    );
}
