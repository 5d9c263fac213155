//! What the requests of one connection share.

use std::sync::Arc;

use crate::{activity::Activity, drain::Connection, http::HttpSettings};

/// A connection as its requests have it: each of them holds it, so that a drain ends after all of them.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) settings: Arc<HttpSettings>,
    pub(crate) connection: Connection,
}

impl Place {
    pub(crate) fn activity(&self) -> &Activity {
        self.connection.activity()
    }
}
