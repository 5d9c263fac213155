//! What interceptors of one request tell each other.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
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
type Values = HashMap<TypeId, Value>;

impl RequestContext {
    /// Keeps a value in place of the one of that type that was there.
    pub fn insert<T: Send + Sync + 'static>(&self, value: T) {
        let value: Value = Arc::new(value);
        // Dropped when the lock is not held: what it does then is not ours to know.
        let _before = self.lock().insert(TypeId::of::<T>(), value);
    }

    /// The value of that type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let value = self.lock().get(&TypeId::of::<T>()).cloned()?;
        value.downcast().ok()
    }

    /// Takes the value of that type out.
    pub fn remove<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let value = self.lock().remove(&TypeId::of::<T>())?;
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
