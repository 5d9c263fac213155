//! Attacks on a server in a process of its own: how long it lets them go on, what memory and how many descriptors they cost it, and
//! whether somebody else is served meanwhile. Beside the listener stands bare hyper.

#![expect(
    clippy::print_stdout,
    reason = "what was measured is worth reading, and the child says where it listens"
)]

mod floods;
mod slow;
mod target;
