//! Where endpoints come from.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_known_yet_is_waited_for_and_an_empty_one_is_not() {
    let (changes, stream) = tokio::sync::mpsc::unbounded_channel::<Result<Change<Named>, String>>();
    let list = Endpoints::new();
    let mut stream = stream;
    list.discover(futures_util::stream::poll_fn(move |cx| {
        stream.poll_recv(cx)
    }));
    let service = Balance::builder().endpoints(list.clone()).build();
    let service = service.expect("it may be empty");
    let waiting = tokio::spawn(service.clone().oneshot(()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    let send = |change| changes.send(change).expect("it listens");
    send(Ok(Change::Insert(Endpoint::new("one"), Named(1))));
    assert_eq!(waiting.await.expect("no panic").expect("an answer"), 1);

    send(Err("the registry is down".to_owned()));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(service.clone().oneshot(()).await.expect("as before"), 1);

    send(Ok(Change::Remove("one".to_owned())));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let error = service.clone().oneshot(()).await.expect_err("empty");
    assert!(find::<NoEndpoint>(&*error).is_some_and(NoEndpoint::is_empty));

    // The task ends with the last that could see what it does.
    drop((service, list));
    changes.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_first_error_ends_the_waiting() {
    let list: Endpoints<Named> = Endpoints::new();
    list.discover(Refresh::new(Duration::from_secs(10), || async {
        Err::<Vec<_>, _>("the registry is down")
    }));
    let service = Balance::builder().endpoints(list).build().expect("empty");
    let error = service.oneshot(()).await.expect_err("nobody is known");
    assert!(find::<NoEndpoint>(&*error).is_some_and(NoEndpoint::is_empty));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_stays_in_the_list_keeps_what_was_measured() {
    let list = Endpoints::new();
    let set = |names: &[&str]| {
        let entry = |name: &&str| (Endpoint::new(*name), Named(0));
        list.apply(Change::Set(names.iter().map(entry).collect()));
    };
    set(&["a", "b"]);
    let service = Balance::builder().endpoints(list.clone()).seed(1).build();
    answers(&service.expect("two"), 20);
    let measured = || -> Vec<_> {
        let snapshot = list.snapshot();
        let one =
            |one: &EndpointSnapshot| (one.endpoint().name().to_owned(), one.latency().is_some());
        snapshot.iter().map(one).collect()
    };
    let entry = |name: &str, measured| (name.to_owned(), measured);
    assert_eq!(measured(), [entry("a", true), entry("b", true)]);
    set(&["c", "a", "c"]);
    assert_eq!(measured(), [entry("c", false), entry("a", true)]);
    // The same peer with another weight, or another service.
    list.insert(Endpoint::new("a").weight(3), Named(0));
    assert_eq!(measured(), [entry("c", false), entry("a", true)]);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_resolved_again_and_again() {
    let answer = Arc::new(Mutex::new(Ok(vec![1, 2])));
    let asked = Arc::new(AtomicUsize::new(0));
    let resolve = {
        let (answer, asked) = (answer.clone(), asked.clone());
        move || {
            asked.fetch_add(1, Ordering::Relaxed);
            let answer: Result<Vec<u8>, &str> = answer.lock().unwrap().clone();
            async move {
                let addrs = answer.map_err(std::io::Error::other)?;
                let addr = |n| std::net::SocketAddr::from(([10, 0, 0, n], 80));
                Ok(addrs.into_iter().map(addr).collect::<Vec<_>>())
            }
        }
    };
    let list = Endpoints::new();
    list.discover(Refresh::dns(Duration::from_secs(30), resolve, |addr| addr));
    let names = || -> Vec<String> {
        let snapshot = list.snapshot();
        let name = |one: &EndpointSnapshot| one.endpoint().name().to_owned();
        snapshot.iter().map(name).collect()
    };
    let pass = tokio::time::sleep;
    pass(Duration::from_secs(1)).await;
    assert_eq!(names(), ["10.0.0.1:80", "10.0.0.2:80"]);
    *answer.lock().unwrap() = Ok(vec![3, 2, 3]);
    pass(Duration::from_secs(28)).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    pass(Duration::from_secs(2)).await;
    assert_eq!(names(), ["10.0.0.2:80", "10.0.0.3:80"]);
    // No answer, and an answer of nobody, change nothing.
    for wrong in [Err("no such host"), Ok(vec![])] {
        *answer.lock().unwrap() = wrong;
        pass(Duration::from_secs(31)).await;
        assert_eq!(names(), ["10.0.0.2:80", "10.0.0.3:80"]);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_file_is_read_when_it_changes() {
    let path = std::env::temp_dir().join(format!("bartizan-balance-{}", std::process::id()));
    let (seen, mut parsed) = tokio::sync::mpsc::unbounded_channel();
    let parse = move |text: &str| {
        seen.send(text.to_owned()).expect("the test listens");
        text.lines()
            .map(|line| Ok((Endpoint::new(line), line.parse::<u16>()?)))
            .collect::<Result<Vec<_>, std::num::ParseIntError>>()
    };
    std::fs::write(&path, "1\n2\n").expect("a file");
    let list = Endpoints::new();
    list.discover(Refresh::file(&path, Duration::from_millis(2), parse));
    let names = |list: &Endpoints<u16>| -> Vec<String> {
        let snapshot = list.snapshot();
        let names = snapshot.iter().map(|one| one.endpoint().name().to_owned());
        names.collect()
    };
    let until = async |wanted: &[&str]| {
        let asked = Instant::now();
        while names(&list) != wanted {
            assert!(
                asked.elapsed() < Duration::from_secs(20),
                "{:?}",
                names(&list)
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    until(&["1", "2"]).await;
    assert_eq!(parsed.recv().await.as_deref(), Some("1\n2\n"));
    // Of another length, because some file systems' clocks are coarse.
    std::fs::write(&path, "no numbers").expect("a file");
    while parsed.recv().await.as_deref() != Some("no numbers") {}
    assert_eq!(
        names(&list),
        ["1", "2"],
        "what cannot be parsed changes nothing"
    );
    std::fs::write(&path, "2\n3\n4\n").expect("a file");
    until(&["2", "3", "4"]).await;
    drop(list);
    std::fs::remove_file(&path).expect("it is there");
}
