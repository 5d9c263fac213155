//! The cookbook, so that its snippets are doctests. The programs in it are the files of `examples/`, which have tests of their own.

#[doc = include_str!("../README.md")]
pub mod readme {}

#[doc = include_str!("src/introduction.md")]
pub mod introduction {}

#[doc = include_str!("src/first-stack.md")]
pub mod first_stack {}

#[doc = include_str!("src/one-layer.md")]
pub mod one_layer {}

#[doc = include_str!("src/failover.md")]
pub mod failover {}

#[doc = include_str!("src/outlier-ejection.md")]
pub mod outlier_ejection {}

#[doc = include_str!("src/timeouts.md")]
pub mod timeouts {}

#[doc = include_str!("src/order.md")]
pub mod order {}

#[doc = include_str!("src/composition.md")]
pub mod composition {}

#[doc = include_str!("src/rate-limiting.md")]
pub mod rate_limiting {}

#[doc = include_str!("src/adaptive-limits.md")]
pub mod adaptive_limits {}

#[doc = include_str!("src/hedging.md")]
pub mod hedging {}

#[doc = include_str!("src/chaos.md")]
pub mod chaos {}

#[doc = include_str!("src/retry.md")]
pub mod retry {}

#[doc = include_str!("src/load-balancing.md")]
pub mod load_balancing {}

#[doc = include_str!("src/circuit-breaker.md")]
pub mod circuit_breaker {}

#[doc = include_str!("src/tls-listener.md")]
pub mod tls_listener {}

#[doc = include_str!("src/mutual-tls.md")]
pub mod mutual_tls {}

#[doc = include_str!("src/ocsp-stapling.md")]
pub mod ocsp_stapling {}

#[doc = include_str!("src/revocation.md")]
pub mod revocation {}

#[doc = include_str!("src/certificate-reload.md")]
pub mod certificate_reload {}

#[doc = include_str!("src/acme.md")]
pub mod acme {}

#[doc = include_str!("src/custom-trust.md")]
pub mod custom_trust {}

#[doc = include_str!("src/options.md")]
pub mod options {}

#[doc = include_str!("src/interceptors.md")]
pub mod interceptors {}

#[doc = include_str!("src/cors.md")]
pub mod cors {}

#[doc = include_str!("src/hosts.md")]
pub mod hosts {}

#[doc = include_str!("src/content-negotiation.md")]
pub mod content_negotiation {}

#[doc = include_str!("src/receiving-uploads.md")]
pub mod receiving_uploads {}

#[doc = include_str!("src/zero-downtime-restart.md")]
pub mod zero_downtime_restart {}

#[doc = include_str!("src/serving.md")]
pub mod serving {}

#[doc = include_str!("src/limits-for-the-internet.md")]
pub mod limits_for_the_internet {}

#[doc = include_str!("src/behind-a-load-balancer.md")]
pub mod behind_a_load_balancer {}

#[doc = include_str!("src/graceful-shutdown.md")]
pub mod graceful_shutdown {}

#[doc = include_str!("src/serving-events.md")]
pub mod serving_events {}

#[doc = include_str!("src/listener-options.md")]
pub mod listener_options {}

#[doc = include_str!("src/design.md")]
pub mod design {}

#[doc = include_str!("src/first-client.md")]
pub mod first_client {}

#[doc = include_str!("src/pool-tuning.md")]
pub mod pool_tuning {}

#[doc = include_str!("src/json.md")]
pub mod json {}

#[doc = include_str!("src/uploads.md")]
pub mod uploads {}

#[doc = include_str!("src/downloads.md")]
pub mod downloads {}

#[doc = include_str!("src/cookies.md")]
pub mod cookies {}

#[doc = include_str!("src/redirects.md")]
pub mod redirects {}

#[doc = include_str!("src/server-sent-events.md")]
pub mod server_sent_events {}

#[doc = include_str!("src/testing-with-a-mock.md")]
pub mod testing_with_a_mock {}

#[doc = include_str!("src/proxies.md")]
pub mod proxies {}

#[doc = include_str!("src/over-reqwest-and-hyper.md")]
pub mod over_reqwest_and_hyper {}

#[doc = include_str!("src/moving-from-reqwest.md")]
pub mod moving_from_reqwest {}

#[doc = include_str!("src/client-options.md")]
pub mod client_options {}
