//! The same for axum.

use axum_core::{
    extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request},
    response::{IntoResponse, Response},
};
use bartizan_core::Body;
use http::request::Parts;

use super::{Either, ExtractError, FromBody, FromHead, Raw, Respond, Text, Typed, Valid};

/// A body, in handlers of axum as the last argument, and as an `Option` of it.
macro_rules! from_body {
    ($($(#[$attribute:meta])* [$($generic:ident)?] $ty:ty),* $(,)?) => {
        $(
            $(#[$attribute])*
            impl<$($generic,)? S> FromRequest<S> for $ty
            where
                Self: FromBody,
                S: Send + Sync,
            {
                type Rejection = ExtractError;

                async fn from_request(request: Request, _: &S) -> Result<Self, ExtractError> {
                    let (head, body) = request.into_parts();
                    Self::from_body(&head, Body::new(body)).await
                }
            }

            $(#[$attribute])*
            impl<$($generic,)? S> OptionalFromRequest<S> for $ty
            where
                Self: FromBody,
                S: Send + Sync,
            {
                type Rejection = ExtractError;

                async fn from_request(
                    request: Request,
                    _: &S,
                ) -> Result<Option<Self>, ExtractError> {
                    let (head, body) = request.into_parts();
                    Option::<Self>::from_body(&head, Body::new(body)).await
                }
            }
        )*
    };
}

from_body! {
    [] Text,
    [] Raw,
    #[cfg(feature = "json")]
    [T] super::Json<T>,
    #[cfg(feature = "xml")]
    [T] super::Xml<T>,
    #[cfg(feature = "form")]
    [T] super::Form<T>,
    #[cfg(feature = "multipart")]
    [] super::multipart::Multipart,
    [E] Valid<E>,
    #[cfg(feature = "garde")]
    [E] super::Garde<E>,
}

/// What is in the head, in handlers of axum as any argument.
macro_rules! from_head {
    ($($(#[$attribute:meta])* [$generic:ident] $ty:ty),* $(,)?) => {
        $(
            $(#[$attribute])*
            impl<$generic, S> FromRequestParts<S> for $ty
            where
                Self: FromHead,
                S: Send + Sync,
            {
                type Rejection = ExtractError;

                async fn from_request_parts(
                    head: &mut Parts,
                    _: &S,
                ) -> Result<Self, ExtractError> {
                    Self::from_head(head)
                }
            }
        )*
    };
}

from_head! {
    #[cfg(feature = "form")]
    [T] super::Query<T>,
    #[cfg(feature = "headers")]
    [T] super::Headers<T>,
    [E] Valid<E>,
    #[cfg(feature = "garde")]
    [E] super::Garde<E>,
}

macro_rules! into_response {
    ($($(#[$attribute:meta])* [$($generic:ident)?] $ty:ty),* $(,)?) => {
        $(
            $(#[$attribute])*
            impl<$($generic)?> IntoResponse for $ty
            where
                Self: Respond,
            {
                fn into_response(self) -> Response {
                    self.respond().map(axum_core::body::Body::new)
                }
            }
        )*
    };
}

into_response! {
    [] Text,
    [] Raw,
    [] ExtractError,
    #[cfg(feature = "json")]
    [T] super::Json<T>,
    #[cfg(feature = "xml")]
    [T] super::Xml<T>,
}

/// Over any content that axum knows, its own included.
impl<const STATUS: u16, T: IntoResponse> IntoResponse for Typed<STATUS, T> {
    fn into_response(self) -> Response {
        let status = self.status();
        let (content, headers) = self.into_content_and_headers();
        let mut response = content.into_response();
        *response.status_mut() = status;
        response.headers_mut().extend(headers);
        response
    }
}

impl<A: IntoResponse, B: IntoResponse> IntoResponse for Either<A, B> {
    fn into_response(self) -> Response {
        match self {
            Self::Left(it) => it.into_response(),
            Self::Right(it) => it.into_response(),
        }
    }
}
