//! What is shown of keys: nothing.

use std::fmt::Debug;

use bartizan_tls::TicketKeys;

use crate::support::{Authority, acceptor, client_tls, connector, listener_tls, meet};

/// A key is longer than this in any encoding; a fingerprint or a serial is not its like.
const WINDOW: usize = 8;

fn assert_hides(key: &[u8], shown: &str) {
    let compact = shown
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect::<String>()
        .to_lowercase();
    for window in key.windows(WINDOW) {
        let hex = window
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        let decimal = window
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",");
        assert!(!compact.contains(&hex), "in hexadecimal: {shown}");
        assert!(!compact.contains(&decimal), "as a list: {shown}");
    }
}

#[tokio::test]
async fn debug_shows_no_key_material() {
    let root = Authority::root("root");
    let leaf = root.server(&["a.test"], |_| {});
    let identity = leaf.identity();
    let client = client_tls(&root).identity(identity.clone());
    let ticket_key = std::array::from_fn(|at| u8::try_from(at * 7 + 3).unwrap());
    let ticket_keys = TicketKeys::try_new([ticket_key]).unwrap();
    let listener = listener_tls(&leaf)
        .identity_for("a.test", identity.clone())
        .ticket_keys(ticket_keys.clone());
    let (connector, acceptor) = (connector(client.clone()), acceptor(listener.clone()));
    let met = meet(&connector, &acceptor, "a.test").await;
    let shown: [&dyn Debug; 10] = [
        &ticket_keys,
        &identity,
        &client,
        &listener,
        &connector,
        &acceptor,
        &connector.handle(),
        &acceptor.handle(),
        met.client.as_ref().unwrap(),
        met.listener.as_ref().unwrap(),
    ];
    for debug in shown {
        for key in [leaf.key.serialized_der(), &ticket_key[..]] {
            assert_hides(key, &format!("{debug:?}"));
            assert_hides(key, &format!("{debug:#?}"));
        }
    }
}

#[test]
fn errors_show_no_key_material() {
    use bartizan_tls::Identity;

    let provider = crate::support::provider();
    let root = Authority::root("root");
    let (one, two) = (
        root.server(&["a.test"], |_| {}),
        root.server(&["a.test"], |_| {}),
    );
    let key = one.key.serialized_der();
    let mut broken = key.to_vec();
    broken[3] ^= 0x55;
    for (chain, key) in [(two.chain.clone(), key), (one.chain.clone(), &broken)] {
        let error = Identity::from_der(&provider, chain, key).unwrap_err();
        assert_hides(one.key.serialized_der(), &format!("{error:?}"));
    }
    let pem = one.key.serialize_pem();
    let middle = pem.lines().nth(1).unwrap();
    for broken in [
        pem.replace(middle, &format!("{middle}!")),
        // As an environment variable has it that lost its line ends.
        pem.replace('\n', " "),
        pem.replace('\n', ""),
        pem.replace("-----END", "-----BEGIN"),
    ] {
        // A text with both may be given twice.
        let chain = format!("{}{broken}", one.pem);
        for chain in [&one.pem, &chain, &broken] {
            let read = Identity::from_pem(&provider, chain.as_bytes(), broken.as_bytes());
            let error = read.unwrap_err();
            let shown = format!("{error:?}{}", crate::support::chain(&error));
            // Bytes may be shown as numbers.
            assert_hides(middle.as_bytes(), &shown);
            assert!(!shown.contains(&middle[..WINDOW]), "{shown}");
        }
    }
}
