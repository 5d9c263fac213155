//! Those who are asked, without a network.

use std::{
    future::ready,
    sync::{Arc, Mutex},
};

use bartizan_core::BoxError;
use bartizan_tls::revocation::FetchRequest;
use bytes::Bytes;
use tower::Service;

type Answer = dyn Fn(&FetchRequest) -> Result<Vec<u8>, BoxError> + Send + Sync;

/// A fetcher that answers as it is told, and knows what it was asked.
#[derive(Clone)]
pub(crate) struct Web {
    asked: Arc<Mutex<Vec<FetchRequest>>>,
    answer: Arc<Mutex<Box<Answer>>>,
}

impl Web {
    pub(crate) fn new(
        answer: impl Fn(&FetchRequest) -> Result<Vec<u8>, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            asked: Arc::default(),
            answer: Arc::new(Mutex::new(Box::new(answer))),
        }
    }

    /// Answers everything with these bytes.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self::new(move |_| Ok(bytes.clone()))
    }

    pub(crate) fn down() -> Self {
        Self::new(|_| Err("the network is down".into()))
    }

    /// From here on it answers so.
    pub(crate) fn set(
        &self,
        answer: impl Fn(&FetchRequest) -> Result<Vec<u8>, BoxError> + Send + Sync + 'static,
    ) {
        *self.answer.lock().expect("no panic") = Box::new(answer);
    }

    /// The addresses, in the order in which they were asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().expect("no panic");
        asked
            .iter()
            .map(|request| request.uri.to_string())
            .collect()
    }

    pub(crate) fn requests(&self) -> Vec<FetchRequest> {
        self.asked.lock().expect("no panic").clone()
    }
}

impl Service<FetchRequest> for Web {
    type Response = Bytes;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Bytes, BoxError>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: FetchRequest) -> Self::Future {
        let answer = self.answer.lock().expect("no panic")(&request);
        self.asked.lock().expect("no panic").push(request);
        ready(answer.map(Bytes::from))
    }
}
