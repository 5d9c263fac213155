//! The laws of every layer, for a target without TLS: the probe answers with one end of a pipe.

use bartizan_testing::contract;
use tower::Layer;

use crate::support::{Authority, client_tls, connector};

contract! {
    mod tls_connector {
        layer: |probe| connector(client_tls(&Authority::root("root"))).layer(probe),
        request: || "http://a.test/".parse::<http::Uri>().unwrap(),
        response: || tokio::io::duplex(64).0,
    }
}
