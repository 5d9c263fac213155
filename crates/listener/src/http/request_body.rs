//! The body of a request, held to its length and its speed.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bartizan_core::{BoxError, find};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{LengthLimitError, Limited};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{MinRate, rate::Allowance};

/// Why the body of a request ended too early.
///
/// A body that is too long ends with `http_body_util`'s `LengthLimitError` instead, which is what others know.
#[derive(Debug)]
pub struct RequestBodyError(Kind);

#[derive(Debug)]
enum Kind {
    TooSlow(MinRate),
    Broken(BoxError),
}

impl RequestBodyError {
    /// Whether the peer sent the body too slowly: see
    /// [`min_request_rate`](crate::HttpSettingsBuilder::min_request_rate).
    pub const fn is_too_slow(&self) -> bool {
        matches!(self.0, Kind::TooSlow(_))
    }

    /// Whether the body was malformed, or the peer went away in the middle of it. The source says which.
    pub const fn is_broken(&self) -> bool {
        matches!(self.0, Kind::Broken(_))
    }
}

impl fmt::Display for RequestBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::TooSlow(rate) => write!(
                f,
                "the peer sent the body of its request too slowly: less than {} bytes per second for {:?}",
                rate.bytes_per_second(),
                rate.grace()
            ),
            Kind::Broken(_) => f.write_str("the body of the request is broken"),
        }
    }
}

impl Error for RequestBodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Kind::TooSlow(_) => None,
            Kind::Broken(source) => Some(&**source),
        }
    }
}

/// Whether a body was too long.
pub(crate) fn is_over_limit(error: &(dyn Error + 'static)) -> bool {
    find::<LengthLimitError>(error).is_some()
}

pin_project! {
    /// Forwards everything until it is too much, or takes too long.
    pub(crate) struct Guarded<B> {
        #[pin]
        body: Limited<B>,
        rate: Option<MinRate>,
        #[pin]
        waiting: Waiting,
    }
}

pin_project! {
    /// The timer is made with the first wait: most bodies are there when they are asked for.
    #[project = WaitingProj]
    enum Waiting {
        Never,
        Since {
            allowance: Allowance,
            // `None` while nobody waits.
            since: Option<Instant>,
            #[pin]
            alarm: Sleep,
        },
    }
}

impl<B: http_body::Body> Guarded<B> {
    pub(crate) fn new(body: B, most: Option<u64>, rate: Option<MinRate>) -> Self {
        let most = most.and_then(|most| usize::try_from(most).ok());
        Self {
            body: Limited::new(body, most.unwrap_or(usize::MAX)),
            rate,
            waiting: Waiting::Never,
        }
    }
}

impl<B> http_body::Body for Guarded<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let frame = this.body.poll_frame(cx).map_err(explain);
        let Some(rate) = *this.rate else {
            return frame;
        };
        if let Poll::Ready(frame) = frame {
            if let WaitingProj::Since {
                allowance, since, ..
            } = this.waiting.project()
            {
                if let Some(since) = since.take() {
                    let data = frame
                        .as_ref()
                        .and_then(|frame| frame.as_ref().ok()?.data_ref());
                    let bytes = data.map_or(0, |data| data.len() as u64);
                    allowance.account(since.elapsed(), bytes);
                }
            }
            return Poll::Ready(frame);
        }
        if matches!(this.waiting.as_mut().project(), WaitingProj::Never) {
            let now = Instant::now();
            this.waiting.as_mut().set(Waiting::Since {
                allowance: Allowance::new(rate),
                since: Some(now),
                alarm: sleep_until(now + rate.grace()),
            });
        }
        let WaitingProj::Since {
            allowance,
            since,
            mut alarm,
        } = this.waiting.project()
        else {
            return Poll::Pending;
        };
        if since.is_none() {
            let now = Instant::now();
            *since = Some(now);
            alarm.as_mut().reset(now + allowance.left());
        }
        if alarm.poll(cx).is_pending() {
            return Poll::Pending;
        }
        // Said once; whoever asks again is not told that all is well.
        *since = None;
        allowance.account(super::FOREVER, 0);
        tracing::debug!("a request's body came too slowly");
        Poll::Ready(Some(Err(RequestBodyError(Kind::TooSlow(rate)).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Says whose body it was: a service may have others, and errors of theirs.
fn explain(error: BoxError) -> BoxError {
    if error.is::<LengthLimitError>() {
        return error;
    }
    RequestBodyError(Kind::Broken(error)).into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bartizan_testing::ControlledBody;
    use http::HeaderMap;
    use http_body_util::{BodyExt, Full};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate() -> MinRate {
        MinRate::try_new(100, 5 * SECOND).expect("valid")
    }

    #[tokio::test]
    async fn forwards_what_is_allowed() {
        let mut trailers = HeaderMap::new();
        trailers.insert("a", http::HeaderValue::from_static("b"));
        let sent = trailers.clone();
        let body = Full::new(Bytes::from("hello"))
            .with_trailers(async { Some(Ok::<_, std::convert::Infallible>(sent)) });
        let body = Guarded::new(body, Some(5), Some(rate()));
        assert!(!http_body::Body::is_end_stream(&body));
        let collected = Box::pin(body).collect().await.expect("whole");
        assert_eq!(collected.trailers(), Some(&trailers));
        assert_eq!(collected.to_bytes(), "hello");
        let body = Guarded::new(Full::new(Bytes::from("hello")), None, None);
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(5));
    }

    #[tokio::test]
    async fn is_cut_off_at_its_limit() {
        let body = Guarded::new(Full::new(Bytes::from("hello!")), Some(5), None);
        let error = Box::pin(body).collect().await.expect_err("it is too long");
        assert!(is_over_limit(&*error));
    }

    #[tokio::test]
    async fn says_that_it_broke_and_why() {
        let (body, handle) = ControlledBody::new();
        handle.fail("the cause");
        let body = Guarded::new(body, None, None);
        let error = Box::pin(body).collect().await.expect_err("it broke");
        let error = find::<RequestBodyError>(&*error).expect("ours");
        assert!(error.is_broken() && !error.is_too_slow());
        assert_eq!(error.source().expect("a source").to_string(), "the cause");
        assert!(!error.to_string().contains("the cause"));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it_and_only_while_somebody_waits() {
        let (body, handle) = ControlledBody::new();
        let mut body = Box::pin(Guarded::new(body, None, Some(rate())));
        // Nobody asks for it: nobody is slow.
        tokio::time::advance(60 * SECOND).await;
        let start = Instant::now();
        let feeding = async {
            for _ in 0..20 {
                tokio::time::sleep(SECOND).await;
                handle.data(vec![0; 100]);
            }
        };
        let reading = async {
            for _ in 0..20 {
                body.frame().await.expect("a frame").expect("in time");
            }
        };
        tokio::join!(feeding, reading);
        assert_eq!(start.elapsed(), 20 * SECOND);
        tokio::time::advance(60 * SECOND).await;
        let start = Instant::now();
        let error = body.frame().await.expect("an error").expect_err("too slow");
        assert_eq!(start.elapsed(), 5 * SECOND);
        assert!(find::<RequestBodyError>(&*error).is_some_and(RequestBodyError::is_too_slow));
        body.frame()
            .await
            .expect("an error")
            .expect_err("still too slow");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_one_by_one_do_not_keep_it() {
        let (body, handle) = ControlledBody::new();
        let mut body = Box::pin(Guarded::new(body, None, Some(rate())));
        let start = Instant::now();
        let feeding = async {
            loop {
                tokio::time::sleep(SECOND).await;
                handle.data(vec![0; 1]);
            }
        };
        let reading = async { while let Some(Ok(_)) = body.frame().await {} };
        tokio::select! {
            () = reading => {}
            () = feeding => {}
        }
        assert_eq!(start.elapsed().as_secs(), 5);
    }
}
