//! TLS at both ends: certificates, who is trusted, and what was revoked.

use crate::{assert_contains, printed};

#[test]
fn tls_listener() {
    assert_contains(
        &printed("tls_listener", &[]),
        &[
            r#"over HTTP/2.0: TLSv1.3, asked for Some("localhost")"#,
            "without TLS: no answer",
        ],
    );
}

#[test]
fn mutual_tls() {
    assert_contains(
        &printed("mutual_tls", &[]),
        &[
            "web: 200 OK hello, web",
            "batch: 403 Forbidden",
            "web, says a stranger: refused before any request",
            "nobody: refused before any request",
        ],
    );
}

#[test]
fn ocsp_stapling() {
    assert_contains(
        &printed("ocsp_stapling", &[]),
        &[
            "http://ca.test/ocsp is asked",
            "there is a staple: true",
            "not revoked, says a Staple",
            "hello",
        ],
    );
}

#[test]
fn revocation() {
    assert_contains(
        &printed("revocation", &[]),
        &[
            "a list: InUse",
            "certificate 7: not revoked, says a Crl",
            "a newer list: InUse",
            "certificate 7 is refused",
            "the older list again: Superseded",
            "certificate 7 is refused",
        ],
    );
}

#[test]
fn certificate_reload() {
    assert_contains(
        &printed("certificate_reload", &[]),
        &[
            "at first: the old certificate",
            "after a reload: the new certificate",
            "on the connection from before: the old certificate",
            "the key of another: ",
            "(load)",
            "no certificate: ",
            "for another name: ",
            "(settings)",
            "and still: the new certificate",
        ],
    );
}

#[test]
fn acme() {
    assert_contains(
        &printed("acme", &[]),
        &[
            "not yet: the CA gives no account",
            "because: ",
            "another try is due: true",
        ],
    );
}

#[test]
fn custom_trust() {
    assert_contains(
        &printed("custom_trust", &[]),
        &[
            "the company alone: hello",
            "it and the platform's: hello",
            "somebody else: TLS with `localhost`: the peer's certificate leads to no trust anchor",
            "the company, for another name: TLS with `127.0.0.1`: the peer's certificate is for another name",
        ],
    );
}
