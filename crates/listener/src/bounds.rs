//! What a listener asks of the types it is made of, said once. Its methods say it in the terms of its users.

use bartizan_core::{Body, BoxError};
use http::{Request, Response};
use hyper::{body::Incoming, service::HttpService};
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use crate::{Accepted, Metered};

/// What HTTP is spoken over.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<I: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for I {}

/// Makes what HTTP is spoken over of what was accepted.
pub(crate) trait Handshake<C>:
    Service<
        Accepted<Metered<C>>,
        Response = Accepted<<Self as Handshake<C>>::Io>,
        Error: Into<BoxError>,
        Future: Send,
    > + Clone
    + Send
    + 'static
{
    type Io: Transport;
}

impl<H, C, I> Handshake<C> for H
where
    H: Service<Accepted<Metered<C>>, Response = Accepted<I>> + Clone + Send + 'static,
    H::Error: Into<BoxError>,
    H::Future: Send,
    I: Transport,
{
    type Io = I;
}

/// Answers requests.
pub(crate) trait Answering:
    Service<
        Request<Body>,
        Response = Response<<Self as Answering>::Content>,
        Error: Into<BoxError>,
        Future: Send,
    > + Clone
    + Send
    + 'static
{
    type Content: http_body::Body<Data: Send, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> Answering for S
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Content = B;
}

/// The same as hyper sees it.
pub(crate) trait Spoken:
    HttpService<
        Incoming,
        ResBody = <Self as Spoken>::Content,
        Error: Into<BoxError>,
        Future: Send + 'static,
    >
{
    type Content: http_body::Body<Data: Send, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> Spoken for S
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Content = B;
}
