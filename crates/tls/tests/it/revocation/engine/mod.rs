//! Methods, their order, what is kept, and who fetches.

mod cache;
mod fetched_lists;
mod methods;
mod unavailable;
mod waiting;

use bartizan_tls::revocation::{Method, Refusal, Revocation, RevocationBuilder, Verdict};

use super::pki::{Web, Wish, provider};

const LIST: &str = "http://ca/list";
const RESPONDER: &str = "http://ca/ocsp";

fn both() -> Wish {
    Wish {
        lists: vec![LIST],
        responder: Some(RESPONDER),
        ..Wish::default()
    }
}

fn clients() -> RevocationBuilder {
    Revocation::of_clients(&provider())
}

/// Answers list and responder, or not.
fn web(list: Option<Vec<u8>>, answer: Option<Vec<u8>>) -> Web {
    Web::new(move |request| {
        let answer = match request.method {
            Method::Crl => &list,
            _ => &answer,
        };
        answer.clone().ok_or_else(|| "it is down".into())
    })
}

fn method(verdict: Result<Verdict, Refusal>) -> Method {
    match verdict {
        Ok(Verdict::Good(evidence)) => evidence[0].method,
        other => panic!("good: {other:?}"),
    }
}
