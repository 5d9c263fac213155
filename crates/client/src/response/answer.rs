//! How a response is read: [`ResponseExt`] over any body.

#[cfg(feature = "fs")]
use std::path::Path;
#[cfg(feature = "sse")]
use std::sync::Arc;

use bartizan_core::BoxError;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, Version, response::Parts};
use http_body::Body;

#[cfg(any(feature = "json", feature = "xml"))]
use super::decode;
#[cfg(feature = "fs")]
use super::save::save;
use super::{
    BodyLimit, DataStream, Lines, ResponseExt, Times,
    content_type::Charset,
    read::{About, Opened, read, read_some},
};
#[cfg(feature = "json")]
use super::{JsonResult, content_type::without_bom};
#[cfg(feature = "sse")]
use crate::sse::EventStream;
use crate::{
    Error,
    call_timeout::Deadline,
    error::{Call, Kind},
    request::end_to_end,
};

/// What is not the JSON it should be.
#[cfg(feature = "json")]
const BODY: &str = "the response body is";

/// What is kept of the body of an error, at most.
const ERROR_BODY: usize = 64 * 1024;

impl<B> ResponseExt for Response<B>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    type Body = B;

    fn body_limit(mut self, bytes: usize) -> Self {
        self.extensions_mut().insert(BodyLimit(bytes));
        self
    }

    fn times(&self) -> Option<Times> {
        self.extensions().get::<Call>()?.times
    }

    fn end_to_end(mut self) -> Self {
        end_to_end(self.headers_mut());
        *self.version_mut() = Version::default();
        self
    }

    fn error_for_status(self) -> Result<Self, Error> {
        if !is_error(self.status()) {
            return Ok(self);
        }
        let (head, _) = self.into_parts();
        Err(status_error(head))
    }

    async fn error_for_status_with_body(self) -> Result<Self, Error> {
        if !is_error(self.status()) {
            return Ok(self);
        }
        let (head, body) = self.into_parts();
        let BodyLimit(limit) = head.extensions.get().copied().unwrap_or_default();
        let deadline = head.extensions.get().and_then(|call: &Call| call.deadline);
        let body = read_some(body, BodyLimit(limit.min(ERROR_BODY)), deadline).await;
        Err(status_error(head).with_body(body))
    }

    async fn bytes(self) -> Result<Bytes, Error> {
        Opened::new(self).read(|bytes, _| Ok(bytes)).await
    }

    async fn bytes_and_trailers(self) -> Result<(Bytes, HeaderMap), Error> {
        let opened = Opened::new(self);
        opened.read(|bytes, trailers| Ok((bytes, trailers))).await
    }

    async fn text(self) -> Result<String, Error> {
        let charset = Charset::of(self.headers());
        let opened = Opened::new(self);
        match charset {
            Ok(charset) => opened.read(|bytes, _| charset.decode(bytes)).await,
            Err(error) => Err(opened.about.explain(error)),
        }
    }

    async fn text_lossy(self) -> Result<String, Error> {
        let charset = Charset::of(self.headers()).unwrap_or(Charset::Utf8);
        let opened = Opened::new(self);
        opened
            .read(|bytes, _| Ok(charset.decode_lossy(bytes)))
            .await
    }

    #[cfg(feature = "json")]
    async fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, Error> {
        let opened = Opened::new(self);
        opened
            .read(|bytes, _| decode::json(&without_bom(bytes), BODY))
            .await
    }

    #[cfg(feature = "json")]
    async fn json_result<T, E>(self) -> Result<JsonResult<T, E>, Error>
    where
        T: serde::de::DeserializeOwned,
        E: serde::de::DeserializeOwned,
    {
        let (head, body) = self.into_parts();
        let mut opened = Self::new(body);
        *opened.extensions_mut() = head.extensions.clone();
        let bytes = without_bom(opened.bytes().await?);
        let explain = |error| About::new(head.extensions.clone()).explain(error);
        Ok(if head.status.is_success() {
            let value = decode::json(&bytes, BODY).map_err(explain)?;
            Ok(Response::from_parts(head, value))
        } else {
            let value = decode::json(&bytes, BODY).map_err(explain)?;
            Err(Response::from_parts(head, value))
        })
    }

    #[cfg(feature = "xml")]
    async fn xml<T: serde::de::DeserializeOwned>(self) -> Result<T, Error> {
        let headers = self.headers().clone();
        let opened = Opened::new(self);
        let decode = |bytes: Bytes, _| {
            let charset = Charset::of_xml(&headers, &bytes)?;
            decode::xml(&charset.decode(bytes)?)
        };
        opened.read(decode).await
    }

    async fn discard(self) -> Result<(), Error> {
        let Opened { body, limit, about } = Opened::new(self);
        let read = Deadline::within(about.deadline(), read(body, limit, drop)).await;
        read.map(drop).map_err(|error| about.explain(error))
    }

    #[cfg(feature = "fs")]
    async fn save(self, path: impl AsRef<Path> + Send) -> Result<u64, Error> {
        self.save_with(path, |_, _| ()).await
    }

    #[cfg(feature = "fs")]
    async fn save_with(
        self,
        path: impl AsRef<Path> + Send,
        progress: impl FnMut(u64, Option<u64>) + Send,
    ) -> Result<u64, Error> {
        let limit = self.extensions().get().copied();
        let total = self.body().size_hint().exact();
        save(self.stream(), limit, total, path.as_ref(), progress).await
    }

    fn stream(self) -> DataStream<B> {
        DataStream::of(self)
    }

    fn lines(self) -> Lines<B> {
        let Opened { body, about, limit } = Opened::new(self);
        Lines::new(DataStream::new(body, about), limit)
    }

    #[cfg(feature = "sse")]
    fn events(self) -> Result<EventStream<B>, Error> {
        EventStream::of(self, Arc::default())
    }
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

fn status_error(head: Parts) -> Error {
    let status = head.status;
    let error = Error::new(Kind::Status, format!("the server answered {status}"));
    About::new(head.extensions).explain(error.with_response(status, head.headers))
}
