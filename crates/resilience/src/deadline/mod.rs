//! Limits a whole call, with all its attempts.

mod instant;

pub use self::instant::Deadline;
