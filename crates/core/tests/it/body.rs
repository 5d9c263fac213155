use bartizan_core::{Body, BoxError, Replay};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};

/// A stream of what is in the iterator.
struct Iter<I>(I);

impl<I: Iterator + Unpin> futures_core::Stream for Iter<I> {
    type Item = I::Item;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<I::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}

fn frames(
    frames: Vec<Result<Frame<Bytes>, BoxError>>,
) -> impl http_body::Body<Data = Bytes, Error = BoxError> + Send {
    StreamBody::new(Iter(frames.into_iter()))
}

#[tokio::test]
async fn a_whole_body_is_one_frame_and_its_length_is_known() {
    let mut body = Body::from("hello");
    assert_eq!(body.size_hint().exact(), Some(5));
    assert!(!body.is_end_stream());

    let frame = body.frame().await.expect("a frame").expect("no error");
    assert_eq!(frame.into_data().expect("data"), "hello");
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(body.frame().await.is_none());
}

#[test]
fn no_bytes_are_an_empty_body_whoever_says_so() {
    for body in [
        Body::default(),
        Body::empty(),
        ().into(),
        "".into(),
        String::new().into(),
        Body::new(Empty::<Bytes>::new()),
        Body::new(Full::<Bytes>::default()),
    ] {
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert_eq!(body.whole(), Some(&Bytes::new()));
    }
}

#[test]
fn wrapping_a_body_twice_wraps_it_once() {
    let body = Body::new(Body::new(Body::from("hello")));
    assert_eq!(body.whole(), Some(&Bytes::from("hello")));
}

#[tokio::test]
async fn a_stream_keeps_its_data_trailers_and_length() {
    let mut trailers = HeaderMap::new();
    trailers.insert("digest", HeaderValue::from_static("x"));
    let stream = frames(vec![
        Ok(Frame::data("one".into())),
        Ok(Frame::data("two".into())),
        Ok(Frame::trailers(trailers.clone())),
    ]);
    let collected = Body::new(stream).collect().await.expect("no error");
    assert_eq!(collected.trailers(), Some(&trailers));
    assert_eq!(collected.to_bytes(), "onetwo");

    let sized = Body::new(Full::new(Bytes::from("hello")));
    assert_eq!(sized.size_hint().exact(), Some(5));
}

#[tokio::test]
async fn an_error_of_the_stream_is_the_error_of_the_body() {
    let stream = frames(vec![Ok(Frame::data("one".into())), Err("cut off".into())]);
    let error = Body::new(stream).collect().await.expect_err("an error");
    assert_eq!(error.to_string(), "cut off");

    let items = Iter([Ok("one"), Err("cut off")].into_iter());
    let error = Body::from_stream(items)
        .collect()
        .await
        .expect_err("an error");
    assert_eq!(error.to_string(), "cut off");
}

#[test]
fn debug_shows_no_content() {
    assert_eq!(format!("{:?}", Body::from("secret")), "Body(6 bytes)");
    assert_eq!(format!("{:?}", Body::empty()), "Body(empty)");
}

#[test]
fn what_can_be_replayed_is_replayed_whole() {
    let request = Request::put("/a")
        .header("x-one", "1")
        .extension(7_u32)
        .version(http::Version::HTTP_2)
        .body(Body::from("hello"))
        .expect("a request");
    let copy = request.replay().expect("a copy");
    assert_eq!(copy.method(), "PUT");
    assert_eq!(copy.uri(), "/a");
    assert_eq!(copy.version(), http::Version::HTTP_2);
    assert_eq!(copy.headers(), request.headers());
    assert_eq!(copy.extensions().get(), Some(&7_u32));
    assert_eq!(copy.body().whole(), request.body().whole());

    let stream = Request::new(Body::new(frames(vec![Ok(Frame::data("one".into()))])));
    assert!(stream.replay().is_none());
}
