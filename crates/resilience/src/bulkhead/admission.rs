//! One call through a number of places: what the futures of bulkheads and adaptive limits share.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bartizan_core::{Rejection, RejectionKind};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_service::Service;

use super::places::{Entered, Places};

/// Where the places are, and what else is to be known of who holds one.
pub(crate) trait Gate {
    /// Kept with the place from the moment it is taken.
    type Stamp;

    fn places(&self) -> &Places;

    /// `taken` are taken, this one included.
    fn stamp(&self, taken: u32) -> Self::Stamp;

    /// The place is given back and nobody said how the call ended.
    fn abandoned(&self, _: &Self::Stamp) {}
}

/// A place that somebody holds. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Permit<G: Gate> {
    gate: G,
    /// `None` once it is known how the call ended.
    stamp: Option<G::Stamp>,
}

impl<G: Gate> Permit<G> {
    fn new(gate: G, taken: u32) -> Self {
        let stamp = Some(gate.stamp(taken));
        Self { gate, stamp }
    }

    /// Gives the gate back if no place is free.
    fn try_take(gate: G) -> Result<Self, G> {
        match gate.places().try_take() {
            Some(taken) => Ok(Self::new(gate, taken)),
            None => Err(gate),
        }
    }

    /// The call has ended, as `report` says.
    pub(crate) fn finish(mut self, report: impl FnOnce(&G, &G::Stamp)) {
        if let Some(stamp) = self.stamp.take() {
            report(&self.gate, &stamp);
        }
    }
}

impl<G: Gate> Drop for Permit<G> {
    fn drop(&mut self) {
        if let Some(stamp) = &self.stamp {
            self.gate.abandoned(stamp);
        }
        self.gate.places().give_back();
    }
}

/// A place in the queue. Who drops it leaves the line.
#[derive(Debug)]
struct Ticket<G: Gate> {
    /// `None` once it was exchanged for a permit.
    gate: Option<G>,
    number: u64,
}

impl<G: Gate> Ticket<G> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Permit<G>> {
        let gate = self.gate.as_ref().expect("not polled after it was ready");
        ready!(gate.places().poll_place(self.number, cx));
        let taken = gate.places().taken();
        let gate = self.gate.take().expect("it was there");
        Poll::Ready(Permit::new(gate, taken))
    }
}

impl<G: Gate> Drop for Ticket<G> {
    fn drop(&mut self) {
        if let Some(gate) = &self.gate {
            gate.places().leave(self.number);
        }
    }
}

pin_project! {
    /// Makes a service ready and calls it.
    #[project = CallProj]
    pub(crate) enum Call<S, F, Req> {
        // Neither is `None` before the call.
        Readying { service: S, request: Option<Req> },
        Calling { #[pin] response: F },
    }
}

impl<S: Service<Req>, Req> Call<S, S::Future, Req> {
    pub(crate) fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, S::Error>> {
        loop {
            let response = match self.as_mut().project() {
                // ## Readying => (Calling | done)
                CallProj::Readying { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    service.call(request.take().expect("it is called once"))
                }
                // ## Calling => done
                CallProj::Calling { response } => return response.poll(cx),
            };
            self.set(Self::Calling { response });
        }
    }
}

pin_project! {
    #[project = AdmissionProj]
    #[project_replace = AdmissionOwned]
    pub(crate) enum Admission<S, F, Req, G: Gate> {
        // There was no free place at the call. It stands in no line before it is polled.
        Outside { gate: G, service: S, request: Req },
        InLine {
            ticket: Ticket<G>,
            service: S,
            request: Req,
            #[pin]
            patience: Option<Sleep>,
        },
        Inside { #[pin] call: Call<S, F, Req>, permit: Option<Permit<G>> },
        Refused { full: Full },
        Gone,
    }
}

/// What became of a call that got through, and the place that it still holds.
pub(crate) struct Admitted<T, E, G: Gate> {
    pub(crate) result: Result<T, E>,
    pub(crate) permit: Permit<G>,
}

impl<S, Req, G> Admission<S, S::Future, Req, G>
where
    S: Service<Req> + Clone,
    G: Gate + Clone,
{
    /// Calls `service`, which is ready, or gives its readiness back and waits for a place.
    pub(crate) fn new(gate: G, service: &mut S, request: Req) -> Self {
        let gate = match Permit::try_take(gate) {
            Ok(permit) => {
                let call = Call::Calling {
                    response: service.call(request),
                };
                return Self::inside(call, permit);
            }
            Err(gate) => gate,
        };
        let places = gate.places();
        if places.longest_queue() == 0 {
            return Self::Refused {
                full: Full::new(places, None),
            };
        }
        // What the service reserved when it became ready is for somebody else while this call waits.
        let unready = service.clone();
        *service = unready.clone();
        Self::Outside {
            gate,
            service: unready,
            request,
        }
    }

    const fn inside(call: Call<S, S::Future, Req>, permit: Permit<G>) -> Self {
        Self::Inside {
            call,
            permit: Some(permit),
        }
    }

    #[expect(clippy::type_complexity, reason = "a result of a result, both needed")]
    pub(crate) fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Admitted<S::Response, S::Error, G>, Full>> {
        loop {
            let arrived = match self.as_mut().project() {
                // ## Inside => done
                AdmissionProj::Inside { call, permit } => {
                    let result = ready!(call.poll(cx));
                    let permit = permit.take().expect("not polled after it was ready");
                    return Poll::Ready(Ok(Admitted { result, permit }));
                }
                // ## Refused => done
                AdmissionProj::Refused { full } => return Poll::Ready(Err(*full)),
                // ## Outside => (InLine | Inside | Refused)
                AdmissionProj::Outside { gate, .. } => match gate.places().enter(cx) {
                    Entered::Took(taken) => Arrived::Inside(Permit::new(gate.clone(), taken)),
                    Entered::Queued(number) => Arrived::InLine(Ticket {
                        gate: Some(gate.clone()),
                        number,
                    }),
                    Entered::Refused => Arrived::Refused(Full::new(gate.places(), None)),
                },
                // ## InLine => (Inside | Refused)
                AdmissionProj::InLine {
                    ticket, patience, ..
                } => match ticket.poll(cx) {
                    Poll::Ready(permit) => Arrived::Inside(permit),
                    Poll::Pending => {
                        match patience.as_pin_mut() {
                            // Without an end to its patience, it waits for the place alone.
                            None => return Poll::Pending,
                            Some(patience) => ready!(patience.poll(cx)),
                        }
                        let places = ticket.gate.as_ref().expect("still in line").places();
                        Arrived::Refused(Full::new(places, Some(places.longest_wait())))
                    }
                },
                AdmissionProj::Gone => unreachable!("every state is followed by another"),
            };
            let (AdmissionOwned::Outside {
                service, request, ..
            }
            | AdmissionOwned::InLine {
                service, request, ..
            }) = self.as_mut().project_replace(Self::Gone)
            else {
                unreachable!("the others have returned");
            };
            let next = match arrived {
                Arrived::Inside(permit) => Self::inside(
                    Call::Readying {
                        service,
                        request: Some(request),
                    },
                    permit,
                ),
                Arrived::InLine(ticket) => {
                    let wait = ticket
                        .gate
                        .as_ref()
                        .map_or(Duration::MAX, |gate| gate.places().longest_wait());
                    Self::InLine {
                        ticket,
                        service,
                        request,
                        patience: (wait < Duration::MAX).then(|| tokio::time::sleep(wait)),
                    }
                }
                Arrived::Refused(full) => Self::Refused { full },
            };
            self.set(next);
        }
    }
}

enum Arrived<G: Gate> {
    Inside(Permit<G>),
    InLine(Ticket<G>),
    Refused(Full),
}

/// There was no free place. The source of the [`Rejection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    limit: u32,
    queue: u32,
    waited: Option<Duration>,
}

impl Full {
    fn new(places: &Places, waited: Option<Duration>) -> Self {
        Self {
            limit: places.limit(),
            queue: places.longest_queue(),
            waited,
        }
    }

    pub(crate) fn rejection(self, layer: &'static str) -> Rejection {
        tracing::debug!(layer, limit = self.limit, "no free place: {self}");
        Rejection::new(RejectionKind::Full, layer).with_source(self)
    }

    /// How many places there were when the call was refused.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// How many may wait.
    pub const fn queue(&self) -> u32 {
        self.queue
    }

    /// How long the call stood in line for a place, if it did. Otherwise the line was full, or there is none.
    pub const fn waited(&self) -> Option<Duration> {
        self.waited
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            limit,
            queue,
            waited,
        } = self;
        match (waited, queue) {
            (Some(waited), _) => {
                write!(f, "none of {limit} places became free within {waited:?}")
            }
            (None, 0) => write!(f, "all {limit} places are taken"),
            (None, queue) => write!(f, "all {limit} places are taken, and {queue} callers wait"),
        }
    }
}

impl Error for Full {}
