//! One request: a connection for it, its way over the wire, and another try where that is safe.

mod failure;
mod flight;
mod form;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use http::{Request, Response};
use tokio::time::Instant;

use self::flight::Flight;
use super::{
    body::ResponseBody,
    core::Refused,
    events::PoolEvent,
    inner::{DRAINED, Got, Inner},
    lease::{Acquiring, Lease},
    send_body::SendBody,
};
use crate::{Error, connect::Destination, error::Kind};

/// The response to a request that is under way. One allocation for all of it: hyper's own future has no name, and would need one too.
pub(super) type Flying =
    Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Error>> + Send>>;

/// A lease, waited for if there is none free.
pub(super) async fn acquire(
    inner: &Arc<Inner>,
    destination: &Destination,
    fresh: bool,
    timeout: Option<Duration>,
) -> Result<Lease, Error> {
    match inner.acquire(destination, fresh) {
        Ok(Got::Lease(lease)) => Ok(granted(lease)),
        Ok(Got::Place(place)) => wait(inner, place, destination, timeout).await,
        Err(why) => Err(refused(inner, destination, why)),
    }
}

async fn wait(
    inner: &Arc<Inner>,
    place: Acquiring,
    destination: &Destination,
    timeout: Option<Duration>,
) -> Result<Lease, Error> {
    let observer = &inner.config.observer;
    let since = Instant::now();
    let got = match timeout {
        Some(timeout) => tokio::time::timeout(timeout, place).await.map_err(|_| {
            observer.tell(|| PoolEvent::AcquireTimeout {
                destination,
                waited: since.elapsed(),
            });
            let message = format!(
                "no connection to {destination} within {timeout:?}; raise the pool's limits, or the acquire timeout"
            );
            Error::new(Kind::AcquireTimeout, message)
        })?,
        None => place.await,
    };
    let lease = got.map_err(Error::of_failure)?;
    observer.tell(|| PoolEvent::Waited {
        destination,
        waited: since.elapsed(),
    });
    Ok(granted(lease))
}

/// A lease for a request that goes where the last one went, if it can have one at once.
#[inline]
pub(super) fn again<B>(inner: &Arc<Inner>, request: &Request<B>) -> Option<Lease> {
    let options = request.extensions().get();
    inner.again(request.uri(), options).map(granted)
}

#[inline]
fn granted(lease: Lease) -> Lease {
    if lease.carried > 0 {
        let control = &lease.conn().control;
        lease.inner().config.observer.tell(|| PoolEvent::Reused {
            destination: &control.destination,
            id: control.id.serial,
            carried: lease.carried,
        });
    }
    lease
}

fn refused(inner: &Inner, destination: &Destination, why: Refused) -> Error {
    match why {
        Refused::Draining => Error::new(Kind::QueueFull, DRAINED),
        Refused::QueueFull => {
            inner
                .config
                .observer
                .tell(|| PoolEvent::QueueFull { destination });
            let waiting = inner.config.limits.waiting;
            Error::new(
                Kind::QueueFull,
                format!(
                    "{waiting} requests wait for a connection to {destination} already; send fewer at once, or raise the pool's limits"
                ),
            )
        }
    }
}

/// Sends a request whose URI leads to `destination`.
pub(super) fn send(
    inner: &Arc<Inner>,
    destination: &Destination,
    mut request: Request<SendBody>,
) -> Flying {
    let flight = Flight::of(&mut request);
    match inner.acquire(destination, false) {
        Ok(Got::Lease(lease)) => flight.launch(granted(lease), request),
        Ok(Got::Place(place)) => {
            let (inner, destination) = (inner.clone(), destination.clone());
            Box::pin(async move {
                let timeout = flight.timeouts(&inner).acquire;
                match wait(&inner, place, &destination, timeout).await {
                    Ok(lease) => flight.launch(lease, request).await,
                    Err(error) => Err(flight.failed(error)),
                }
            })
        }
        Err(why) => {
            let error = flight.failed(refused(inner, destination, why));
            Box::pin(std::future::ready(Err(error)))
        }
    }
}

/// Sends a request over a connection that was reserved for it.
#[inline]
pub(super) fn send_on(lease: Lease, mut request: Request<SendBody>) -> Flying {
    Flight::of(&mut request).launch(lease, request)
}
