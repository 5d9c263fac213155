//! What an upload may cost.

/// The limits of a [`Multipart`](super::Multipart) body. In the extensions of a request; the defaults, if it is not there.
///
/// | Limit | Default | Reason |
/// |---|---|---|
/// | [`total`](Self::total) | 64 MiB | what a connection brings within seconds: more is said by the handler |
/// | [`part`](Self::part) | 16 MiB | photographs and documents |
/// | [`in_memory`](Self::in_memory) | 1 MiB | that of every other body: [`BodyLimit`](crate::extract::BodyLimit) |
/// | [`parts`](Self::parts) | 128 | forms that people fill in; each part is a head to be parsed |
/// | [`head`](Self::head) | 8 KiB | a file name has 255 bytes, and its escapes three times as many |
///
/// ```
/// use bartizan_listener::extract::multipart::MultipartLimits;
///
/// let videos = MultipartLimits::default().total(2 << 30).part(2 << 30);
/// assert_ne!(videos, MultipartLimits::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MultipartLimits {
    pub(super) total: u64,
    pub(super) part: u64,
    pub(super) in_memory: usize,
    pub(super) parts: usize,
    pub(super) head: usize,
}

impl Default for MultipartLimits {
    fn default() -> Self {
        Self {
            total: 64 << 20,
            part: 16 << 20,
            in_memory: 1 << 20,
            parts: 128,
            head: 8 << 10,
        }
    }
}

impl MultipartLimits {
    /// The bytes of the whole body, boundaries and heads included.
    #[must_use]
    pub const fn total(mut self, bytes: u64) -> Self {
        self.total = bytes;
        self
    }

    /// The bytes of the data of one part.
    #[must_use]
    pub const fn part(mut self, bytes: u64) -> Self {
        self.part = bytes;
        self
    }

    /// The bytes of a part that is read as a whole.
    #[must_use]
    pub const fn in_memory(mut self, bytes: usize) -> Self {
        self.in_memory = bytes;
        self
    }

    /// How many parts there may be.
    #[must_use]
    pub const fn parts(mut self, parts: usize) -> Self {
        self.parts = parts;
        self
    }

    /// The bytes of the head of one part.
    #[must_use]
    pub const fn head(mut self, bytes: usize) -> Self {
        self.head = bytes;
        self
    }
}
