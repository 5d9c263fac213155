//! Responses as files.

use std::{
    error::Error as _,
    fs,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use bartizan_client::ResponseExt;
use bartizan_core::Body;
use bartizan_testing::ControlledBody;
use http::Response;

use crate::{
    responses::{broken, pieces},
    temporary,
};

fn names(directory: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect()
}

#[tokio::test]
async fn a_file_is_all_of_the_body_and_progress_is_told() {
    let directory = temporary("a_file_is_all_of_the_body");
    let path = directory.join("a");
    let mut told = Vec::new();
    let saved = pieces(&["one", "two"])
        .save_with(&path, |written, total| told.push((written, total)))
        .await;
    assert_eq!(saved.expect("saved"), 6);
    assert_eq!(told, [(3, None), (6, None)]);
    assert_eq!(fs::read_to_string(&path).expect("a file"), "onetwo");

    // In place of the old one, with a length that is known.
    let mut told = Vec::new();
    let whole = Response::new(Body::from("three"));
    assert_eq!(
        whole
            .save_with(&path, |written, total| told.push((written, total)))
            .await
            .expect("saved"),
        5
    );
    assert_eq!(told, [(5, Some(5))]);
    assert_eq!(fs::read_to_string(&path).expect("a file"), "three");
    assert_eq!(
        Response::new(Body::empty())
            .save(&path)
            .await
            .expect("saved"),
        0
    );
    assert_eq!(fs::read_to_string(&path).expect("a file"), "");
    assert_eq!(names(&directory), ["a"]);
}

#[tokio::test]
async fn what_fails_leaves_nothing_behind_and_the_old_file_in_place() {
    let directory = temporary("what_fails_leaves_nothing");
    let path = directory.join("a");
    fs::write(&path, "old").expect("a file");
    let error = broken().save(&path).await.expect_err("half");
    assert!(error.is_body() && !error.is_save());
    for response in [pieces(&["12345", "67890"]), pieces(&["1234567890"])] {
        let error = response
            .body_limit(9)
            .save(&path)
            .await
            .expect_err("too long");
        assert!(error.is_too_large());
    }
    let known = Response::new(Body::from("1234567890"))
        .body_limit(9)
        .save(&path)
        .await;
    assert!(known.expect_err("too long").is_too_large());
    assert_eq!(fs::read_to_string(&path).expect("a file"), "old");
    assert_eq!(names(&directory), ["a"]);
}

#[tokio::test]
async fn a_download_that_is_given_up_leaves_nothing_behind() {
    let directory = temporary("a_download_that_is_given_up");
    let (body, handle) = ControlledBody::new();
    handle.data("half");
    {
        let mut save = pin!(Response::new(body).save(directory.join("a")));
        // Until it waits for more.
        let mut read = pin!(handle.until(|counts| counts.frames == 1 && counts.polls == 2));
        poll_fn(|cx| {
            assert!(save.as_mut().poll(cx).is_pending());
            match read.as_mut().poll(cx) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        assert_eq!(names(&directory).len(), 1);
    }
    assert!(names(&directory).is_empty());
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_an_error_of_its_own() {
    let directory = temporary("a_file_that_cannot_be_written");
    for path in [directory.join("missing/a"), directory.join("..")] {
        let error = Response::new(Body::from("a"))
            .save(&path)
            .await
            .expect_err("no such place");
        assert!(
            error.is_save() && !error.is_body() && error.source().is_some(),
            "{error:?}"
        );
    }
    // A directory is in the way.
    fs::create_dir(directory.join("a")).expect("a directory");
    let error = Response::new(Body::from("a"))
        .save(directory.join("a"))
        .await;
    assert!(error.expect_err("a directory").is_save());
    assert_eq!(names(&directory), ["a"]);
}
