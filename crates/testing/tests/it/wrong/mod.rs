//! Layers that are wrong, each in one way, and the law that says so. A file for each kind of mistake.

mod calls;
mod clones;
mod errors;
mod leaks;
mod readiness;
mod wakers;

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bartizan_core::BoxError;
use bartizan_testing::{
    Probe,
    laws::{Subject, subject},
};
use tower_service::Service;

type Inner = Probe<(), ()>;
type Ready = Poll<Result<(), BoxError>>;
type Call = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// A service of two functions over a state that is cloned with it. Each wrong layer is one.
#[derive(Clone)]
struct Wrong<T> {
    state: T,
    ready: fn(&mut T, &mut Context<'_>) -> Ready,
    call: fn(&mut T) -> Call,
}

impl<T> Service<()> for Wrong<T> {
    type Response = ();
    type Error = BoxError;
    type Future = Call;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Ready {
        (self.ready)(&mut self.state, cx)
    }

    fn call(&mut self, (): ()) -> Call {
        (self.call)(&mut self.state)
    }
}

fn wrong<T: Clone + Send + 'static>(
    state: fn(Inner) -> T,
    ready: fn(&mut T, &mut Context<'_>) -> Ready,
    call: fn(&mut T) -> Call,
) -> impl Subject {
    subject(
        || (),
        || (),
        move |probe| Wrong {
            state: state(probe),
            ready,
            call,
        },
    )
}

fn ready(inner: &mut Inner, cx: &mut Context<'_>) -> Ready {
    inner.poll_ready(cx)
}

fn call(inner: &mut Inner) -> Call {
    Box::pin(inner.call(()))
}

/// The law of that name breaks, and says why; the laws after it are kept, as proof that it is this law which catches the mistake.
macro_rules! breaks {
    ($subject:expr, $law:ident, $why:literal $(, keeps $($kept:ident)+)?) => {{
        let subject = $subject;
        let message = $crate::panic_of(|| ::bartizan_testing::laws::$law(&subject));
        let expected = concat!("the law `", stringify!($law), "` is broken: ");
        let why = message.strip_prefix(expected);
        assert!(why.is_some_and(|why| why.contains($why)), "{message}");
        $($(::bartizan_testing::laws::$kept(&subject);)+)?
    }};
}

use breaks;
