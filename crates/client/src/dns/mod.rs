//! Names to addresses.
//!
//! A resolver is any `Service<Name>` whose response is an [`Answer`]. [`SystemResolver`] asks the system.
//!
//! Addresses never come here: a URL with one is connected to without asking anybody.

mod answer;
mod cache;
mod name;
mod overrides;
mod system;

pub use self::{
    answer::Answer,
    cache::{CacheLayer, Cached, CachedLookup},
    name::{InvalidName, Name},
    overrides::StaticOverrides,
    system::{SystemLookup, SystemResolver},
};
