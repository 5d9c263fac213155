//! The events of one response.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::BoxError;
use bytes::{Buf, Bytes};
use futures_core::Stream;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::{Event, parser::Parser};
use crate::{
    Error,
    error::Kind,
    response::{About, DataStream, HeadersExt},
};

pin_project! {
    /// The events of one response, as they arrive: what [`ResponseExt::events`](crate::ResponseExt::events) returns.
    ///
    /// It ends at the end of the body. An event that the end has cut off is none. After an error there is nothing more to come.
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct EventStream<B> {
        #[pin]
        data: DataStream<B>,
        piece: Bytes,
        parser: Parser,
        is_done: bool,
    }
}

impl<B> EventStream<B> {
    /// The events of a response that says it has some.
    pub(crate) fn of(response: Response<B>, last_id: Arc<str>) -> Result<Self, Error> {
        const EVENTS: &str = "text/event-stream";
        let media_type = response.media_type();
        if !media_type.is_some_and(|it| it.eq_ignore_ascii_case(EVENTS)) {
            let found = match media_type {
                Some(found) => format!("`{}`", found.escape_default()),
                None => "without a media type".to_owned(),
            };
            let error = Error::new(
                Kind::Decode,
                format!("the response is {found}, and not `{EVENTS}`"),
            );
            return Err(About::new(response.into_parts().0.extensions).explain(error));
        }
        Ok(Self {
            data: DataStream::of(response),
            piece: Bytes::new(),
            parser: Parser::new(last_id),
            is_done: false,
        })
    }

    /// Sets the greatest size of a line, and of an event's data, in bytes. What is larger is an error that is [too
    /// large](Error::is_too_large). Default: 1 MiB.
    pub const fn max_event_size(mut self, bytes: usize) -> Self {
        self.parser.set_limit(bytes);
        self
    }

    /// Yields comments too, as events that have a [`comment`](Event::comment) and nothing else.
    pub const fn with_comments(mut self) -> Self {
        self.parser.show_comments();
        self
    }

    /// The id of the last event that had one: what `Last-Event-ID` says when the stream is asked for again. Empty if there was none.
    pub fn last_event_id(&self) -> &str {
        self.parser.last_id()
    }

    /// How long to wait before connecting again, as the stream has said last, if it has.
    pub const fn retry(&self) -> Option<Duration> {
        self.parser.retry()
    }

    pub(super) const fn last_id(&self) -> &Arc<str> {
        self.parser.last_id()
    }
}

impl<B> Stream for EventStream<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Item = Result<Event, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        if *this.is_done {
            return Poll::Ready(None);
        }
        loop {
            let mut bytes = &this.piece[..];
            let parsed = this.parser.next(&mut bytes);
            let taken = this.piece.len() - bytes.len();
            this.piece.advance(taken);
            match parsed {
                Ok(None) => {}
                Ok(Some(event)) => return Poll::Ready(Some(Ok(event))),
                Err(_) => {
                    *this.is_done = true;
                    let limit = this.parser.limit();
                    let error = Error::new(
                        Kind::TooLarge,
                        format!(
                            "an event is larger than the limit of {limit} bytes: raise it by `.max_event_size(…)`"
                        ),
                    );
                    return Poll::Ready(Some(Err(this.data.explain(error))));
                }
            }
            match ready!(this.data.as_mut().poll_next(cx)) {
                Some(Ok(piece)) => *this.piece = piece,
                Some(Err(error)) => {
                    *this.is_done = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    *this.is_done = true;
                    return Poll::Ready(None);
                }
            }
        }
    }
}
