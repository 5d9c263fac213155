//! What interceptors of one request tell each other.

use std::{
    any::{Any, TypeId},
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Values by their type, for one request. Clones share them.
///
/// Not the request's extensions, because those end with the request, before the response interceptors run.
///
/// ```
/// use bartizan_listener::interceptors::RequestContext;
///
/// #[derive(Debug, PartialEq)]
/// struct User(&'static str);
///
/// let context = RequestContext::default();
/// assert!(context.get::<User>().is_none());
/// context.insert(User("ada"));
/// assert_eq!(*context.clone().get::<User>().unwrap(), User("ada"));
/// ```
#[derive(Clone, Default)]
pub struct RequestContext {
    values: Arc<Mutex<Values>>,
}

type Value = Arc<dyn Any + Send + Sync>;
// Of a request, there are a few: looking through them costs less than hashing.
type Values = Vec<(TypeId, Value)>;

impl RequestContext {
    /// Keeps a value in place of the one of that type that was there.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) {
        let mut value: Value = Arc::new(value);
        let mut values = self.lock();
        match values
            .iter_mut()
            .find(|(kind, _)| *kind == TypeId::of::<T>())
        {
            Some((_, before)) => mem::swap(before, &mut value),
            None => return values.push((TypeId::of::<T>(), value)),
        }
        // The one before is dropped when the lock is not held: what it does then is not ours to know.
        drop(values);
    }

    /// The value of that type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let values = self.lock();
        let (_, value) = values.iter().find(|(kind, _)| *kind == TypeId::of::<T>())?;
        Arc::clone(value).downcast().ok()
    }

    /// Takes the value of that type out.
    pub fn remove<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let mut values = self.lock();
        let place = values
            .iter()
            .position(|(kind, _)| *kind == TypeId::of::<T>())?;
        let (_, value) = values.swap_remove(place);
        value.downcast().ok()
    }

    fn lock(&self) -> MutexGuard<'_, Values> {
        // Nothing that can panic runs under the lock.
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // How many, and never what: they may be secret.
        let count = self.lock().len();
        f.debug_struct("RequestContext")
            .field("values", &count)
            .finish()
    }
}
