//! What became of a request that has no response.

use std::{error::Error as StdError, io, sync::atomic::Ordering};

use bartizan_core::find;

use super::super::{connection::Conn, send_body::Upload};
use crate::{Error, error::Kind};

/// Whether an HTTP/2 peer says that it has not looked at the request (RFC 9113 sections 6.8 and 8.7).
pub(super) fn is_refused(error: &hyper::Error) -> bool {
    find::<h2::Error>(error).is_some_and(|error| {
        let reason = error.reason();
        error.is_remote()
            && (error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM)
                || error.is_go_away() && reason == Some(h2::Reason::NO_ERROR))
    })
}

/// Whether the connection was lost, as it is when its peer closes it.
pub(super) fn is_lost_connection(error: &hyper::Error) -> bool {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return true;
    }
    let h2 = find::<h2::Error>(error);
    let io = error
        .source()
        .and_then(<dyn StdError>::downcast_ref::<io::Error>);
    let is_timeout = io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
    io.is_some() && !is_timeout || h2.is_some_and(h2::Error::is_io)
}

pub(super) fn broken(
    error: hyper::Error,
    is_unsent: bool,
    conn: &Conn,
    upload: Option<&Upload>,
) -> Error {
    const OURS: &str =
        "the request broke off on this side; the server may have acted on what it got";
    if let Some(ours) = upload.and_then(Upload::take_error) {
        return Error::new(Kind::Exchange, OURS).with_source(ours);
    }
    let (kind, message) = if is_unsent {
        (
            Kind::Unsent,
            "the connection closed before the request was written; it can be sent again",
        )
    } else if conn.control.has_stalled.load(Ordering::Relaxed) {
        (
            Kind::WriteTimeout,
            "the peer took nothing of the request for too long; the server may have acted on what it got",
        )
    } else if error.is_user() {
        (Kind::Exchange, OURS)
    } else {
        (
            Kind::Exchange,
            "the connection failed before the response; the server may have acted on the request",
        )
    };
    Error::new(kind, message).with_source(error)
}
