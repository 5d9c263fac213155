//! What is the same call, and how its answer is shared.

/// Which calls are the same, and how their answer is shared. Every `Fn(&Req) -> Option<K>` is one, for responses that are `Clone`.
pub trait Policy<Req, Res> {
    /// Calls whose keys are equal get the same answer.
    type Key;

    /// The key of a call, or `None` for one that nobody may share.
    fn key(&self, request: &Req) -> Option<Self::Key>;

    /// A copy of the answer for somebody who waited for it, or `None` if it cannot be shared after all, and they have to ask for
    /// themselves.
    fn copy(&self, response: &Res) -> Option<Res>;
}

impl<F, K, Req, Res> Policy<Req, Res> for F
where
    F: Fn(&Req) -> Option<K>,
    Res: Clone,
{
    type Key = K;

    fn key(&self, request: &Req) -> Option<K> {
        self(request)
    }

    fn copy(&self, response: &Res) -> Option<Res> {
        Some(response.clone())
    }
}
