//! HTTP/1.1 or HTTP/2, as the peer speaks.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bartizan_core::BoxError;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::HttpService,
};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;

use super::{
    FrameLimit, HttpSettings, Protocols, Streams,
    streams::FirstSteps,
    timer::{Moment, Timer},
};
use crate::{
    bounds::{Spoken, Transport},
    io::Watched,
};

/// As many header fields as hyper reads over HTTP/1.1 if it is not told, and that costs a thousand instructions less for each request.
const HYPERS_MAX_HEADERS: usize = 100;

/// Makes connections.
#[derive(Clone, Debug)]
pub(crate) struct Speaker {
    protocols: Protocols,
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
    frame_limit: Option<FrameLimit>,
    http2_spawn_streams: bool,
}

impl Speaker {
    pub(crate) fn new(settings: &HttpSettings) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            // The watch does that, with less work for each request.
            .header_read_timeout(None)
            .max_header_size(settings.head_bytes())
            .auto_date_header(settings.date_header);
        if settings.max_headers != HYPERS_MAX_HEADERS {
            http1.max_headers(settings.max_headers);
        }
        let mut http2 = http2::Builder::new(Streams);
        http2
            .timer(Timer)
            .max_concurrent_streams(settings.http2_max_streams)
            .initial_stream_window_size(settings.http2_stream_window)
            .initial_connection_window_size(settings.http2_connection_window)
            .max_frame_size(settings.http2_max_frame_size)
            .max_send_buf_size(settings.http2_max_send_buffer as usize)
            .max_header_list_size(settings.header_list_bytes())
            .max_pending_accept_reset_streams(settings.http2_max_pending_resets)
            .max_local_error_reset_streams(settings.http2_max_refused)
            .auto_date_header(settings.date_header)
            // Over HTTP/2 a connection with nothing to do is no sign of a peer that has vanished, so it is asked.
            .keep_alive_interval(settings.http2_keep_alive)
            // Or there is no WebSocket over HTTP/2 (RFC 8441).
            .enable_connect_protocol();
        if let Some(interval) = settings.http2_keep_alive {
            http2.keep_alive_timeout(interval);
        }
        if settings.http2_adaptive_window {
            http2.adaptive_window(true);
        }
        Self {
            protocols: settings.protocols,
            http1,
            http2,
            frame_limit: settings.http2_frame_limit,
            http2_spawn_streams: settings.http2_spawn_streams,
        }
    }

    pub(crate) fn speak<I, S>(&self, io: Watched<I>, service: S) -> Speaking<'_, I, S>
    where
        S: HttpService<Incoming>,
    {
        Speaking::Detecting {
            speaker: self,
            parts: Some((io, service)),
        }
    }
}

pin_project! {
    /// A connection, from its first byte on.
    #[project = SpeakingProj]
    pub(crate) enum Speaking<'a, I, S>
    where
        S: HttpService<Incoming>,
    {
        Detecting { speaker: &'a Speaker, parts: Option<(Watched<I>, S)> },
        Http1 { #[pin] connection: http1::UpgradeableConnection<TokioIo<Watched<I>>, S> },
        // Large, and idle connections of HTTP/1.1 are many.
        Http2 {
            connection: Pin<Box<http2::Connection<TokioIo<Watched<I>>, S, Streams>>>,
            steps: FirstSteps,
        },
        /// It was asked to end before it was known what was spoken.
        Ended,
    }
}

impl<I: Transport, S: Spoken> Speaking<'_, I, S> {
    /// Lets the requests in flight be the last: `Connection: close`, or `GOAWAY`.
    pub(crate) fn graceful_shutdown(mut self: Pin<&mut Self>) {
        match self.as_mut().project() {
            SpeakingProj::Detecting { .. } => self.set(Speaking::Ended),
            SpeakingProj::Http1 { connection } => connection.graceful_shutdown(),
            SpeakingProj::Http2 { connection, .. } => connection.as_mut().graceful_shutdown(),
            SpeakingProj::Ended => {}
        }
    }
}

impl<I: Transport, S: Spoken> Future for Speaking<'_, I, S> {
    type Output = Result<(), BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match self.as_mut().project() {
                // ## Detecting => (Http1 | Http2)
                SpeakingProj::Detecting { speaker, parts } => {
                    let Some((io, _)) = parts else {
                        return Poll::Ready(Err(
                            io::Error::from(io::ErrorKind::NotConnected).into()
                        ));
                    };
                    let is_http2 = match speaker.protocols {
                        Protocols::Both => ready!(io.poll_is_http2(cx))?,
                        Protocols::Http1 => false,
                        Protocols::Http2 => true,
                    };
                    let (mut io, service) = parts.take().expect("it was there above");
                    if is_http2 {
                        io.expect_http2(speaker.frame_limit);
                        let connection = speaker.http2.serve_connection(TokioIo::new(io), service);
                        Speaking::Http2 {
                            connection: Box::pin(connection),
                            steps: FirstSteps::new(!speaker.http2_spawn_streams),
                        }
                    } else {
                        let connection = speaker.http1.serve_connection(TokioIo::new(io), service);
                        Speaking::Http1 {
                            connection: connection.with_upgrades(),
                        }
                    }
                }
                SpeakingProj::Http1 { connection } => {
                    return connection.poll(cx).map_err(Into::into);
                }
                SpeakingProj::Http2 { connection, steps } => {
                    let polled = steps.poll(cx, |cx| {
                        let _moment = Moment::begin();
                        connection.as_mut().poll(cx)
                    });
                    return polled.map_err(Into::into);
                }
                SpeakingProj::Ended => return Poll::Ready(Ok(())),
            };
            self.set(next);
        }
    }
}
