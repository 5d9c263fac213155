//! Stub.
mod admission;
mod hold;
mod keys;
mod layer;
mod places;
mod service;
pub use self::{
    admission::Full,
    hold::{Hold, Place, UntilHead},
    layer::{
        BulkheadBuilder, BulkheadHandle, BulkheadLayer, BulkheadSnapshot, KeyedBulkheadHandle, PerKey, Shared,
    },
    service::{Bulkhead, ResponseFuture},
};
#[cfg(feature = "http")]
pub use self::hold::{HeldBody, UntilBodyEnd};
pub(crate) use self::{
    admission::{Admission, Admitted, Call, Gate},
    keys::Keys,
    places::Places,
};
