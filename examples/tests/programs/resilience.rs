//! When others fail: retries, breakers, limits, balancing. Failover has a file of its own.

use crate::{assert_contains, printed};

#[test]
fn circuit_breaker() {
    assert_contains(
        &printed("circuit_breaker", &[]),
        &[
            "call 1: 503 Service Unavailable, Closed",
            "call 3: 503 Service Unavailable, Open",
            "call 4: refused: true, Open",
            "it is back: Some(Closed)",
        ],
    );
}

#[test]
fn retry() {
    assert_contains(
        &printed("retry", &[]),
        &[
            "GET: 200 OK",
            "attempts: 3",
            "POST: 503 Service Unavailable",
            "not again: it may have been acted on, and is not idempotent",
            "POST with a key: 200 OK",
            "retries so far: 3",
            "200 calls made 249 requests",
        ],
    );
}

#[test]
fn timeouts() {
    let text = printed("timeouts", &[]);
    assert_contains(
        &text,
        &[
            "an attempt: the limit is 500ms after ",
            "a body: 200 OK at once",
            "a body: the body sent nothing for 200ms after ",
            "two services deep: the backend has less than a second",
            "two services deep: the ",
            ", and it took ",
        ],
    );
}

#[test]
fn load_balancing() {
    assert_contains(
        &printed("load_balancing", &[]),
        &[
            "one of three is slow and one fails: ",
            "steady answered",
            "a fourth joins and the failing one is taken out:",
            "failing answered 0",
            "fresh answered",
        ],
    );
}

#[test]
fn outlier() {
    assert_contains(
        &printed("outlier", &[]),
        &[
            "all are well: [[200, 200], [200, 200], [200, 200]]",
            "replica 1 fails: [[200, 200], [500, 500], [200, 200]]",
            "is ejected for ConsecutiveFailures, for ",
            "it is ejected: [",
            ", [], ",
            "its time is up: [[200, 200], [200, 200], [200, 200]]",
            "replica 2 is unhealthy: the answer was 503 Service Unavailable",
            "it is not called: [",
            ", []]",
            "it is back: [[200, 200], [200, 200], [200, 200]]",
        ],
    );
}

#[test]
fn rate_limiting() {
    assert_contains(
        &printed("rate_limiting", &[]),
        &[
            r#"key ``: 200 OK, RateLimit: "default";r=2;t="#,
            r#"key ``: 200 OK, RateLimit: "default";r="#,
            r#"key ``: 200 OK, RateLimit: "default";r="#,
            "key ``: 429 Too Many Requests",
            "Retry-After: 6",
            "key `made-up`: 429 Too Many Requests",
            r#"key `s3cret-of-ada`: 200 OK, RateLimit: "default";r=2;t=6"#,
        ],
    );
}

#[test]
fn adaptive_limits() {
    // It fails by itself unless the limit halves the median.
    assert_contains(
        &printed("adaptive_limits", &[]),
        &[
            "without a limit: ",
            "with one that adapts: ",
            "the limit is ",
        ],
    );
}

#[test]
fn hedging() {
    assert_contains(
        &printed("hedging", &[]),
        &[
            "before it knows: half within ",
            "95 % come within ",
            "and then: half within ",
            " second attempts, ",
            " of them answered first",
        ],
    );
}

#[test]
fn chaos() {
    // Seeded, so the same in every run.
    assert_contains(
        &printed("chaos", &[]),
        &[
            "in peace: 200 answers, 0 of them stale",
            "in chaos: 200 answers, 22 of them stale",
            "what happened: ChaosCounts { delayed: 38, failed: 9, cut: 0, hung: 13 }",
            "in peace again: 200 answers, 0 of them stale",
        ],
    );
}
