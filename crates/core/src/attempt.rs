//! Which attempt a request is.

/// The number of an attempt, in the extensions of a request: 2 for the first retry. A request without one is a first attempt.
///
/// Whoever sends a request again sets it, and whoever tells of a failure may say it.
///
/// ```
/// use bartizan_core::Attempt;
/// use http::Request;
///
/// let mut request = Request::new(());
/// request.extensions_mut().insert(Attempt::new(2));
/// assert_eq!(request.extensions().get().map(|attempt: &Attempt| attempt.number()), Some(2));
/// assert_eq!(Attempt::default().number(), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(u32);

impl Attempt {
    /// The attempt of that number, counted from 1.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Counted from 1.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// The first.
impl Default for Attempt {
    fn default() -> Self {
        Self(1)
    }
}
