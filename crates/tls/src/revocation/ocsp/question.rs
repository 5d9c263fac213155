//! Putting the question to a responder.

use ::http::Uri;
use bytes::Bytes;

use super::{
    super::{
        FetchRequest, Method,
        fetch::{Failure, Fetcher, shown},
        subject::Subject,
    },
    CertIdHash, Nonce, OcspError,
    request::request,
    response::MAX_SIZE,
};

/// How a responder is asked.
pub(in super::super) struct Question {
    pub(in super::super) hash: CertIdHash,
    pub(in super::super) nonce: Option<Nonce>,
}

impl Question {
    /// What the responder at `uri` sends about `subject`, unread.
    pub(in super::super) async fn put(
        &self,
        fetcher: &Fetcher,
        subject: &Subject,
        uri: &Uri,
    ) -> Result<Bytes, Failure> {
        let body = request(subject, self.hash, self.nonce.as_ref())
            .map_err(|error| does_not_count(uri, OcspError::Request(error)))?;
        fetcher
            .fetch(FetchRequest {
                method: Method::Ocsp,
                uri: uri.clone(),
                body: Some(Bytes::from(body)),
                max_size: MAX_SIZE,
            })
            .await
    }
}

/// What the responder at `uri` sent is of no use.
pub(in super::super) fn does_not_count(uri: &Uri, error: OcspError) -> Failure {
    Failure::new(format!("the answer of {} does not count", shown(uri))).with_source(error)
}
