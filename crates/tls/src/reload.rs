//! Settings that can be replaced while they are in use.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use bartizan_core::ConfigError;

/// Settings, and what is built of them.
pub(crate) struct Snapshot<S, P> {
    pub(crate) settings: S,
    pub(crate) profile: P,
}

/// What is in force. A handshake takes the snapshot of its start and keeps it; nothing waits for anything.
pub(crate) struct Current<S, P>(RwLock<Arc<Snapshot<S, P>>>);

impl<S, P> Current<S, P> {
    pub(crate) fn new(settings: S, profile: P) -> Self {
        Self(RwLock::new(Arc::new(Snapshot { settings, profile })))
    }

    pub(crate) fn load(&self) -> Arc<Snapshot<S, P>> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces what is in force by what `change` and `build` make of it, or leaves it on their error.
    ///
    /// Neither runs under the lock. If somebody else was faster they run again, on what is in force then, so that no change is lost.
    pub(crate) fn update(
        &self,
        change: impl Fn(&S) -> S,
        build: impl Fn(&S, &P) -> Result<P, ConfigError>,
    ) -> Result<(), ConfigError> {
        loop {
            let before = self.load();
            let settings = change(&before.settings);
            let profile = build(&settings, &before.profile)?;
            let next = Arc::new(Snapshot { settings, profile });
            // What was in force is dropped after the lock is.
            let _dropped = {
                let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
                if !Arc::ptr_eq(&current, &before) {
                    continue;
                }
                std::mem::replace(&mut *current, next)
            };
            return Ok(());
        }
    }
}

impl<S, P> fmt::Debug for Current<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn changes_at_the_same_time_all_count() {
        let current = Current::new(0_u32, ());
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..250 {
                        current.update(|n| n + 1, |_, ()| Ok(())).unwrap();
                    }
                });
            }
        });
        assert_eq!(current.load().settings, 1000);
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let current = Current::new(1, ());
        let refuse = |n: &i32, (): &()| Err(ConfigError::new("n", n, "1"));
        current.update(|n| n + 1, refuse).unwrap_err();
        assert_eq!(current.load().settings, 1);
    }
}
