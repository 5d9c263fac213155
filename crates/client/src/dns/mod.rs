//! Names to addresses.
//!
//! A resolver is any `Service<Name>` whose response is an [`Answer`]. [`SystemResolver`] asks the system.
//!
//! Addresses never come here: a URL with one is connected to without asking anybody.

mod answer;
mod name;
mod overrides;
mod system;

pub use self::{
    answer::Answer,
    name::{InvalidName, Name},
    overrides::StaticOverrides,
    system::{SystemLookup, SystemResolver},
};
