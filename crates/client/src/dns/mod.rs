//! Names to addresses.
//!
//! A resolver is any `Service<Name>` whose response is an [`Answer`]. [`SystemResolver`] asks the system, [`CacheLayer`] remembers what a
//! resolver answers, [`StaticOverrides`] know some hosts beforehand, and with the feature `hickory` `HickoryResolver` asks name servers
//! itself.
//!
//! Addresses never come here: a URL with one is connected to without asking anybody.

mod answer;
mod cache;
#[cfg(feature = "hickory")]
mod hickory;
mod name;
mod overrides;
mod system;

#[cfg(feature = "hickory")]
pub use self::hickory::{HickoryLookup, HickoryResolver};
pub use self::{
    answer::Answer,
    cache::{CacheLayer, Cached, CachedLookup},
    name::{InvalidName, Name},
    overrides::StaticOverrides,
    system::{SystemLookup, SystemResolver},
};
