//! What the requests of one connection share.

use std::sync::Arc;

use crate::{
    activity::Activity,
    drain::Connection,
    http::{Bounds, HttpSettings, Speaker},
};

/// How HTTP is spoken on every connection of a listener.
#[derive(Debug)]
pub(crate) struct Protocol {
    pub(crate) speaker: Speaker,
    pub(crate) bounds: Bounds,
    pub(crate) settings: HttpSettings,
}

impl Protocol {
    pub(crate) fn new(settings: HttpSettings) -> Arc<Self> {
        Arc::new(Self {
            speaker: Speaker::new(&settings),
            bounds: settings.bounds(),
            settings,
        })
    }
}

/// A connection as its task and its requests have it: each of them holds it, so that a drain ends after all of them.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) protocol: Arc<Protocol>,
    pub(crate) connection: Connection,
}

impl Place {
    pub(crate) const fn activity(&self) -> &Arc<Activity> {
        self.connection.activity()
    }

    pub(crate) fn settings(&self) -> &HttpSettings {
        &self.protocol.settings
    }
}
