//! Attacks on a server in a process of its own: how long it lets them go on, what memory and how many descriptors they cost it, and
//! whether somebody else is served meanwhile. Beside the listener stands bare hyper.

mod floods;
mod slow;
mod target;
