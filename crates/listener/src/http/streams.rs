//! The tasks of HTTP/2's streams, whose first step is taken where they are begun.
//!
//! hyper begins a task for each request, and most are done with their first step, because the service answers at once. That step is taken
//! by the connection's own task, as soon as hyper has looked at all that has arrived: no task is made, none is scheduled, and the answers
//! to requests that came together are written together, at once. A stream that is not done then goes on as a task of its own, on
//! whatever core has time.
//!
//! ```text
//! hyper begins it => Collected => the first step => (Done | Task)
//!                              => Task, where first steps have been slow
//! ```
//!
//! One after the other, streams wait for those before them, though another core may have time. So the clock is watched: where first steps
//! take longer than a task would be worth ([`PATIENCE`], and a [`STEP`] for each of them), streams are tasks from the start for a few times
//! as long, and for up to 2^[`MOST_STRIKES`] times where it goes on like that: a thread that was interrupted once has not been slow. A
//! connection that brings more than one core can answer has long turns, and so it comes to have tasks, too. A panic ends its stream,
//! and nothing else.
//!
//! What no clock can see to is a first step that blocks its thread until something else happens on its connection. For services that do so,
//! there is `HttpSettings` to have it all be tasks.

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

use super::{Forget, bell::Bells, handed_over};
use crate::in_flight::InFlight;

/// How much longer the first steps of one turn may take than quick ones do: something may come in between.
const PATIENCE: Duration = Duration::from_micros(50);

/// How long a quick step takes at most, a multiple of what hyper does in it. To begin a task on another core takes as long.
const STEP: Duration = Duration::from_micros(5);

/// A connection whose first steps are always slow spends no more than a hundredth of its time on them.
const MOST_STRIKES: u32 = 7;

/// The clock is looked at after the first step of a turn and after the last, and in between after so many. To read it takes a part of a
/// quick step.
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
pub(super) struct FirstSteps {
    begun: Vec<Task>,
    /// `None` if they are never taken.
    pace: Option<Pace>,
    bells: Bells,
}

/// When first steps are taken.
struct Pace {
    /// Not before that.
    from: Instant,
    /// Two for each slow turn, less one for each quick one.
    strikes: u32,
}

impl FirstSteps {
    /// Unless `are_taken`, every stream is a task from the start.
    pub(super) fn new(are_taken: bool) -> Self {
        Self {
            begun: Vec::new(),
            pace: are_taken.then(|| Pace {
                from: Instant::now(),
                strikes: 0,
            }),
            bells: Bells::default(),
        }
    }

    /// Polls a connection, lets the streams that it has begun take their first steps, and, if they have something to be written, polls it
    /// once more.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Self { begun, pace, bells } = self;
        let Some(pace) = pace else {
            return poll(cx);
        };
        let (bell, waker) = bells.of(cx);
        for _ in 0..2 {
            let polled = collect(begun, || poll(&mut Context::from_waker(waker)));
            if begun.is_empty() {
                return polled;
            }
            bell.hold();
            take_first_steps(begun, pace);
            if !bell.release() || polled.is_ready() {
                return polled;
            }
        }
        // Others have waited, too.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Takes the first steps of what has begun, or makes tasks of it before it is time for them.
fn take_first_steps(begun: &mut Vec<Task>, pace: &mut Pace) {
    let now = Instant::now();
    let mut are_quick = pace.from <= now;
    let mut left = begun.len();
    for (nth, task) in (0..).zip(begun.drain(..)) {
        let rest = if are_quick {
            first_step(task)
        } else {
            Some(task)
        };
        if let Some(task) = rest {
            tokio::spawn(task);
        }
        left -= 1;
        if are_quick && (nth % STRIDE == 0 || left == 0) {
            let took = now.elapsed();
            if took > PATIENCE + STEP * nth {
                are_quick = false;
                pace.strikes = MOST_STRIKES.min(pace.strikes + 2);
                pace.from = now + took * (1 + (1 << pace.strikes));
            } else if left == 0 {
                pace.strikes = pace.strikes.saturating_sub(1);
            }
        }
    }
}

/// Collects what hyper begins in `poll`.
fn collect<T>(begun: &mut Vec<Task>, poll: impl FnOnce() -> T) -> T {
    let _collecting = Collecting {
        outer: BEGUN.replace(Some(mem::take(begun))),
        begun,
    };
    poll()
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
        // hyper may find nobody to send the response to: then there is no tunnel.
        let _forget = Forget;
        ready!(this.task.poll(cx));
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
        http::{bell::tests::Woken, hand_over},
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

    /// One turn of a connection that begins streams in its first poll. How often it was polled.
    fn turn(steps: &mut FirstSteps, mut begin: impl FnMut(&Waker)) -> usize {
        let mut polls = 0;
        let mut cx = Context::from_waker(Waker::noop());
        let polled = steps.poll(&mut cx, |cx| {
            polls += 1;
            if polls == 1 {
                begin(cx.waker());
            }
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        polls
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_step_is_taken_at_once_and_the_rest_by_a_task() {
        let (mut steps, runs) = (FirstSteps::new(true), Runs::default());
        let polls = turn(&mut steps, |_| {
            Streams.execute(runs.stream(1));
            Streams.execute(runs.stream(3));
            assert_eq!(runs.count(), 0, "not while hyper is at it");
        });
        assert_eq!(polls, 1, "nobody has anything to be written");
        assert_eq!(runs.count(), 2);
        while runs.count() < 4 {
            yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_first_step_has_answered_is_written_in_the_same_turn() {
        let mut steps = FirstSteps::new(true);
        let polls = turn(&mut steps, |waker| {
            for _ in 0..2 {
                let waker = waker.clone();
                Streams.execute(async move { waker.wake() });
            }
        });
        assert_eq!(polls, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_always_has_something_to_write_lets_others_go_on() {
        let (mut steps, woken) = (FirstSteps::new(true), Arc::new(Woken::default()));
        let waker = Arc::clone(&woken).into();
        let mut polls = 0;
        let polled = steps.poll(&mut Context::from_waker(&waker), |cx| {
            polls += 1;
            let waker = cx.waker().clone();
            Streams.execute(async move { waker.wake() });
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        assert_eq!(polls, 2);
        assert_eq!(woken.0.load(SeqCst), 1, "it has another turn");
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_ends_its_stream_and_no_other() {
        let (mut steps, runs) = (FirstSteps::new(true), Runs::default());
        let held = Arc::new(());
        turn(&mut steps, |_| {
            let of_stream = Arc::clone(&held);
            Streams.execute(async move {
                let _held = of_stream;
                panic!("on purpose");
            });
            Streams.execute(runs.stream(1));
        });
        assert_eq!(runs.count(), 1);
        assert_eq!(Arc::strong_count(&held), 1, "it is dropped");
    }

    #[tokio::test(start_paused = true)]
    async fn streams_that_take_their_time_are_tasks_for_a_while() {
        let slow = Duration::from_millis(1);
        // Wherever the slow one stands.
        for before in 0..3 {
            let (mut steps, runs) = (FirstSteps::new(true), Runs::default());
            let quick = |steps: &mut FirstSteps| {
                let before = runs.count();
                turn(steps, |_| Streams.execute(runs.stream(1)));
                runs.count() - before
            };
            assert_eq!(quick(&mut steps), 1);
            turn(&mut steps, |_| {
                for _ in 0..before {
                    Streams.execute(runs.stream(1));
                }
                Streams.execute(runs.slow(slow));
            });
            assert_eq!(runs.count(), 2 + before);
            assert_eq!(quick(&mut steps), 0, "{before} before it");
            time::advance(slow * 3).await;
            assert_eq!(quick(&mut steps), 0);
            time::advance(slow).await;
            assert_eq!(quick(&mut steps), 1, "it is tried again");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn streams_that_are_always_slow_are_tasks_for_ever_longer() {
        let slow = Duration::from_millis(1);
        let (mut steps, runs) = (FirstSteps::new(true), Runs::default());
        let mut rests = Vec::new();
        for _ in 0..5 {
            let before = runs.count();
            turn(&mut steps, |_| Streams.execute(runs.slow(slow)));
            assert_eq!(runs.count() - before, 1);
            let start = Instant::now();
            let from = steps.pace.as_ref().expect("they are taken").from;
            rests.push(from.duration_since(start).as_millis());
            time::sleep_until(from).await;
        }
        assert_eq!(rests, [4, 16, 64, 128, 128]);
        turn(&mut steps, |_| Streams.execute(runs.stream(1)));
        assert_eq!(steps.pace.expect("they are taken").strikes, 6);
    }

    #[tokio::test(start_paused = true)]
    async fn what_follows_a_slow_stream_is_a_task() {
        let (mut steps, runs) = (FirstSteps::new(true), Runs::default());
        turn(&mut steps, |_| {
            Streams.execute(runs.slow(PATIENCE * 2));
            Streams.execute(runs.stream(1));
        });
        assert_eq!(runs.count(), 1);
        while runs.count() < 2 {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn all_are_tasks_if_it_is_to_be_so() {
        let (mut steps, runs) = (FirstSteps::new(false), Runs::default());
        turn(&mut steps, |_| Streams.execute(runs.stream(1)));
        assert_eq!(runs.count(), 0);
        while runs.count() < 1 {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_a_panic_leaves_behind_is_no_tunnel() {
        let drain = Drain::new();
        let mut request = Some(InFlight::new(&admit(&drain)));
        let task = Stream {
            task: poll_fn(move |_| -> Poll<()> {
                hand_over(request.take().expect("polled once"));
                panic!("on purpose");
            }),
            tunnel: None,
        };
        assert!(first_step(Box::pin(task)).is_none());
        assert_eq!(drain.in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_in_a_connection_has_streams_of_its_own() {
        let (mut outer, mut inner) = (FirstSteps::new(true), FirstSteps::new(true));
        let runs = Runs::default();
        turn(&mut outer, |_| {
            turn(&mut inner, |_| Streams.execute(runs.stream(1)));
            assert_eq!(runs.count(), 1);
            Streams.execute(runs.stream(1));
        });
        assert_eq!(runs.count(), 2);
    }
}
