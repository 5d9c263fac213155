//! One test per law.

/// Writes, for each layer named, a module with one `#[test]` per law of [`laws`](crate::laws), named after the law.
///
/// `layer` puts the layer above a [`Probe`](crate::Probe), a new one each time; `request` makes a request that it lets through, and
/// `response` a response that it takes for a good one. The closures see what is in scope where the macro stands. They must not
/// capture: each test makes its own.
///
/// ```
/// use bartizan_testing::contract;
///
/// contract! {
///     mod pass_through {
///         layer: |probe| probe,
///         request: || (),
///         response: || "response",
///     }
///
///     /// The same, for other types.
///     mod over_http {
///         layer: |probe| probe,
///         request: || http::Request::get("/").body(bartizan_core::Body::empty()).unwrap(),
///         response: || http::Response::new(bartizan_core::Body::from("hello")),
///     }
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! contract {
    ($(
        $(#[$attribute:meta])*
        mod $name:ident {
            layer: $layer:expr,
            request: $request:expr,
            response: $response:expr $(,)?
        }
    )+) => {$(
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports, reason = "the closures may need nothing")]
            use super::*;

            fn subject() -> impl $crate::laws::Subject {
                $crate::laws::subject($request, $response, $layer)
            }

            $crate::contract! { @tests
                a_good_call_gets_through
                readiness_is_honoured
                a_pending_inner_service_is_waited_for
                it_never_wakes_itself
                clones_start_unready
                unused_readiness_is_given_back
                dropped_futures_leak_nothing
                errors_keep_their_source
                calls_outlive_their_service
            }
        }
    )+};
    (@tests $($law:ident)+) => {$(
        #[test]
        fn $law() {
            $crate::laws::$law(&subject());
        }
    )+};
}
