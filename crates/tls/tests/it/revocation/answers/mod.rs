//! What responders say, stapled or asked.

mod questions;
mod signers;
mod staples;
mod times;
mod unusable;

use bartizan_tls::revocation::{Method, Refusal, Revocation, Verdict};

use super::pki::{Ca, Web, Wish, connect, connect_with, now, provider};

const RESPONDER: &str = "http://ca/ocsp";

fn wish() -> Wish {
    Wish {
        responder: Some(RESPONDER),
        ..Wish::default()
    }
}

/// Believes staples, and nothing else.
fn staples() -> Revocation {
    let builder = Revocation::of_servers(&provider()).methods([Method::Staple]);
    builder.build().expect("an engine")
}

fn asking(web: &Web) -> Revocation {
    let builder = Revocation::of_clients(&provider()).methods([Method::Ocsp]);
    builder.fetcher(web.clone()).build().expect("an engine")
}

/// What a staple is worth.
async fn stapled(ca: &Ca, staple: &[u8]) -> Result<Verdict, Refusal> {
    connect_with(&staples(), &ca.chain(7, &wish()), staple, now()).await
}

/// What the same response is worth as an answer.
async fn answered(ca: &Ca, response: &[u8]) -> Result<Verdict, Refusal> {
    connect(&asking(&Web::of(response.to_vec())), &ca.chain(7, &wish())).await
}

fn is_good(verdict: &Result<Verdict, Refusal>) -> bool {
    matches!(verdict, Ok(Verdict::Good(_)))
}

fn is_unknown(verdict: &Result<Verdict, Refusal>) -> bool {
    verdict.as_ref().is_err_and(Refusal::is_unavailable)
}

fn is_revoked(verdict: &Result<Verdict, Refusal>) -> bool {
    verdict.as_ref().is_err_and(Refusal::is_revoked)
}

/// The innermost error of a refusal.
fn reason(verdict: Result<Verdict, Refusal>) -> String {
    let refusal = verdict.expect_err("it does not count");
    let mut error: &dyn std::error::Error = &refusal;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
