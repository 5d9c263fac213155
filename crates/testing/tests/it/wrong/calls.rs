//! Calls that do not end as the inner service has them end: it answers by itself, fails, never answers, or ends them with its service.

use std::sync::Arc;

use tokio::task::JoinSet;
use tower_service::Service;

use super::{breaks, ready, wrong};

#[test]
fn answers_by_itself() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |_| Box::pin(async { Ok(()) }),
        ),
        a_good_call_gets_through,
        "it answered without calling the inner service",
        keeps readiness_is_honoured clones_start_unready unused_readiness_is_given_back
    );
}

#[test]
fn fails_good_calls() {
    breaks!(
        wrong(
            |probe| probe,
            ready,
            |_| Box::pin(async { Err("too strict".into()) }),
        ),
        a_good_call_gets_through,
        "an error came to a good call: `too strict`"
    );
}

#[test]
fn never_answers() {
    breaks!(
        wrong(|probe| probe, ready, |_| Box::pin(std::future::pending()),),
        a_good_call_gets_through,
        "no answer ever came"
    );
}

/// Owns the calls of all its clones, so that they end with the last of them.
#[derive(Clone, Default)]
struct Calls(Arc<std::sync::Mutex<JoinSet<()>>>);

#[test]
fn takes_its_calls_with_it() {
    breaks!(
        wrong(
            |probe| (probe, Calls::default()),
            |(inner, _), cx| inner.poll_ready(cx),
            |(inner, calls)| {
                let call = inner.call(());
                let (answered, answer) = tokio::sync::oneshot::channel();
                let task = calls.0.lock().unwrap().spawn(async move {
                    // Ends with its caller too, or it would leak.
                    let _ = answered.send(call.await);
                });
                Box::pin(async move {
                    let _abort = AbortOnDrop(task);
                    answer.await?
                })
            },
        ),
        calls_outlive_their_service,
        "dropping the service ended a call that was in flight",
        keeps a_good_call_gets_through readiness_is_honoured a_pending_inner_service_is_waited_for it_never_wakes_itself
              clones_start_unready unused_readiness_is_given_back errors_keep_their_source
    );
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
