//! Certificates from a CA that issues them by itself.

mod ca;
mod listener;
mod pebble;
mod scripted;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

/// A folder for one test, removed with it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!(
            "bartizan-tls-acme-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(unique);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// The one file whose name begins so.
    pub(crate) fn file(&self, prefix: &str) -> Option<PathBuf> {
        let mut found = std::fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with(prefix)
            });
        let first = found.next();
        assert!(found.next().is_none(), "more than one {prefix}");
        first
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
