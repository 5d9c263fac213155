//! The tasks of HTTP/2's streams, whose first step is taken where they are begun.
//!
//! hyper begins a task for each request, and most are done with their first step, because the service answers at once. That step is taken
//! by the connection's own task, as soon as hyper has looked at all that has arrived: no task is made, none is scheduled, and the answers
//! to requests that came together are written together. A stream that is not done then goes on as a task of its own, on whatever core has
//! time.
//!
//! ```text
//! hyper begins it => Collected => the first step => (Done | Task)
//!                              => Task, where first steps have been slow
//! ```
//!
//! One after the other, streams wait for those before them, though another core may have time. So the clock is watched: where first steps
//! take longer than a task would be worth ([`PATIENCE`], and a [`STEP`] for each of them), what is left becomes tasks at once, and so does
//! whatever the connection begins in its next [`PAUSE`] turns. A connection that brings more than one core can answer has long turns, and
//! so it comes to have tasks, too. A panic ends its stream, and nothing else.

use std::{
    cell::RefCell,
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::handed_over;
use crate::in_flight::InFlight;

/// How much longer the first steps of one turn may take than quick ones do: something may come in between.
const PATIENCE: Duration = Duration::from_micros(50);

/// How long a quick step takes at most, a multiple of what hyper does in it. To begin a task on another core takes as long.
const STEP: Duration = Duration::from_micros(5);

/// For how many turns a connection takes no first steps, after they were slow.
const PAUSE: u8 = 64;

/// The clock is looked at after the first step of a turn, and then after so many. To read it takes a part of a quick step.
const STRIDE: u32 = 4;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    /// What hyper has begun in the poll of a connection on this thread. `None` if it polls none.
    static BEGUN: RefCell<Option<Vec<Task>>> = const { RefCell::new(None) };
}

/// Runs what hyper has to run beside an HTTP/2 connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams;

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let task: Task = Box::pin(Stream {
            task,
            tunnel: handed_over(),
        });
        let late = BEGUN.with_borrow_mut(|begun| match begun {
            Some(begun) => {
                begun.push(task);
                None
            }
            None => Some(task),
        });
        if let Some(task) = late {
            tokio::spawn(task);
        }
    }
}

/// The streams of one connection that are yet to take their first steps.
#[derive(Default)]
pub(super) struct FirstSteps {
    begun: Vec<Task>,
    pause: u8,
}

impl FirstSteps {
    /// Collects what hyper begins in `poll`.
    pub(super) fn collect<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        let collecting = Collecting {
            outer: BEGUN.replace(Some(mem::take(&mut self.begun))),
            begun: &mut self.begun,
        };
        let polled = poll();
        drop(collecting);
        polled
    }

    /// Takes the first steps of what was collected.
    ///
    /// What a stream answers wakes the task that polled its connection last, so that it is written.
    pub(super) fn take(&mut self) {
        if self.begun.is_empty() {
            return;
        }
        let mut since = None;
        match self.pause.checked_sub(1) {
            Some(pause) => self.pause = pause,
            None => since = Some(Instant::now()),
        }
        for (nth, task) in (0..).zip(self.begun.drain(..)) {
            let Some(began) = since else {
                tokio::spawn(task);
                continue;
            };
            if let Some(task) = first_step(task) {
                tokio::spawn(task);
            }
            if nth % STRIDE == 0 && began.elapsed() > PATIENCE + STEP * nth {
                self.pause = PAUSE;
                since = None;
            }
        }
    }
}

/// Puts things back in order, also after a panic.
struct Collecting<'a> {
    outer: Option<Vec<Task>>,
    begun: &'a mut Vec<Task>,
}

impl Drop for Collecting<'_> {
    fn drop(&mut self) {
        *self.begun = BEGUN.replace(self.outer.take()).unwrap_or_default();
    }
}

/// The task, if it is not done. Nobody is told to wake it: it is polled again at once, by a task of its own.
fn first_step(task: Task) -> Option<Task> {
    let step = || {
        let mut task = task;
        let polled = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        polled.is_pending().then_some(task)
    };
    // What is broken by a panic is dropped by it. The panic's message was printed, and a task would not say more either.
    catch_unwind(AssertUnwindSafe(step)).unwrap_or(None)
}

pin_project! {
    struct Stream<F> {
        #[pin]
        task: F,
        tunnel: Option<InFlight>,
    }
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let polled = this.task.poll(cx);
        // hyper may have found nobody to send the response to: then there is no tunnel.
        drop(handed_over());
        ready!(polled);
        if let Some(tunnel) = this.tunnel.take() {
            tunnel.complete_unless_cut();
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, poll_fn},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::SeqCst},
        },
    };

    use tokio::{task::yield_now, time};

    use super::*;
    use crate::{
        drain::{Drain, tests::admit},
        http::hand_over,
    };

    #[tokio::test]
    async fn a_tunnel_is_in_flight_until_its_task_ends() {
        let drain = Drain::new();
        let connection = admit(&drain);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        hand_over(InFlight::new(&connection));
        Streams.execute(async {
            let _ = ended.await;
        });
        assert_eq!(drain.in_flight(), 1);
        drain.begin();
        end.send(()).expect("it waits");
        while drain.in_flight() > 0 {
            yield_now().await;
        }
        assert_eq!(drain.counts().drained, 1);
    }

    #[tokio::test]
    async fn a_response_that_found_no_peer_is_no_tunnel() {
        let drain = Drain::new();
        let connection = admit(&drain);
        let request = InFlight::new(&connection);
        let mut request = Some(request);
        let task = Stream {
            task: poll_fn(|_| {
                hand_over(request.take().expect("polled once"));
                Poll::Ready(())
            }),
            tunnel: None,
        };
        task.await;
        assert_eq!(drain.in_flight(), 0);
        // And the next task has nothing to do with it.
        Streams.execute(pending());
        assert_eq!(drain.in_flight(), 0);
    }

    /// What ran, and in which of tokio's tasks.
    #[derive(Clone, Default)]
    struct Runs(Arc<AtomicUsize>);

    impl Runs {
        fn count(&self) -> usize {
            self.0.load(SeqCst)
        }

        /// A stream that is polled `polls` times.
        fn stream(&self, polls: usize) -> impl Future<Output = ()> + Send + use<> {
            let runs = self.clone();
            let mut left = polls;
            poll_fn(move |cx| {
                runs.0.fetch_add(1, SeqCst);
                left -= 1;
                if left == 0 {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
        }

        /// A stream whose first step takes that long.
        fn slow(&self, time: Duration) -> impl Future<Output = ()> + Send + use<> {
            let runs = self.clone();
            // Polled once, it goes as far as the clock can be turned.
            async move {
                runs.0.fetch_add(1, SeqCst);
                let mut advance = std::pin::pin!(time::advance(time));
                let mut cx = Context::from_waker(Waker::noop());
                let _ = advance.as_mut().poll(&mut cx);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_step_is_taken_at_once_and_the_rest_by_a_task() {
        let (mut steps, runs) = (FirstSteps::default(), Runs::default());
        steps.collect(|| {
            Streams.execute(runs.stream(1));
            Streams.execute(runs.stream(3));
        });
        assert_eq!(runs.count(), 0, "not while hyper is at it");
        steps.take();
        assert_eq!(runs.count(), 2);
        while runs.count() < 4 {
            yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_ends_its_stream_and_no_other() {
        let (mut steps, runs) = (FirstSteps::default(), Runs::default());
        let held = Arc::new(());
        let of_stream = Arc::clone(&held);
        steps.collect(|| {
            Streams.execute(async move {
                let _held = of_stream;
                panic!("on purpose");
            });
            Streams.execute(runs.stream(1));
        });
        steps.take();
        assert_eq!(runs.count(), 1);
        assert_eq!(Arc::strong_count(&held), 1, "it is dropped");
    }

    #[tokio::test(start_paused = true)]
    async fn streams_that_take_their_time_are_tasks_for_a_while() {
        let (mut steps, runs) = (FirstSteps::default(), Runs::default());
        let turn = |steps: &mut FirstSteps| {
            let before = runs.count();
            steps.collect(|| Streams.execute(runs.stream(1)));
            steps.take();
            runs.count() - before
        };
        assert_eq!(turn(&mut steps), 1);
        steps.collect(|| {
            Streams.execute(runs.slow(PATIENCE + STEP));
            Streams.execute(runs.stream(1));
        });
        steps.take();
        assert_eq!(runs.count(), 2, "the second is a task, and yet to run");
        for _ in 0..PAUSE {
            assert_eq!(turn(&mut steps), 0);
        }
        assert_eq!(turn(&mut steps), 1, "it is tried again");
        while runs.count() < 4 + usize::from(PAUSE) {
            yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_in_a_connection_has_streams_of_its_own() {
        let (mut outer, mut inner) = (FirstSteps::default(), FirstSteps::default());
        let runs = Runs::default();
        outer.collect(|| {
            inner.collect(|| Streams.execute(runs.stream(1)));
            inner.take();
            assert_eq!(runs.count(), 1);
            Streams.execute(runs.stream(1));
        });
        outer.take();
        assert_eq!(runs.count(), 2);
    }
}
