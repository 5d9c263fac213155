//! Text, JSON and XML of responses.

use std::error::Error as _;

use bartizan_client::ResponseExt;
use bartizan_core::Body;
use http::{Response, header};

use crate::responses::broken;
#[cfg(any(feature = "json", feature = "xml"))]
use crate::responses::pieces;

fn text_of(content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    Response::builder()
        .header(header::CONTENT_TYPE, content_type)
        .body(body.into())
        .expect("a response")
}

#[tokio::test]
async fn text_is_utf8_or_an_error() {
    for (content_type, body, text) in [
        ("text/plain", "é", "é"),
        ("text/plain; charset=UTF-8", "\u{feff}é", "é"),
        ("text/plain; charset=us-ascii", "e", "e"),
        ("text/plain", "\u{feff}", ""),
    ] {
        let read = text_of(content_type, body).text().await;
        assert_eq!(read.expect("text"), text);
    }

    let error = text_of("text/plain", vec![b'a', 0xff])
        .text()
        .await
        .expect_err("no UTF-8");
    assert!(error.is_decode() && error.source().is_some());

    let error = text_of("text/plain; charset=x-klingon", "a")
        .text()
        .await
        .expect_err("no charset");
    assert!(error.is_decode());
    assert!(error.to_string().contains("`x-klingon`"), "{error}");
}

#[cfg(feature = "json")]
#[tokio::test]
async fn json_is_read_or_an_error() {
    let read: Vec<u8> = pieces(&["\u{feff}[1,", "2]"])
        .json()
        .await
        .expect("numbers");
    assert_eq!(read, [1, 2]);

    let read = pieces(&["[1, true]"]).json::<Vec<u8>>().await;
    let error = read.expect_err("not a number");
    assert!(
        error.is_decode()
            && error
                .source()
                .expect("the cause")
                .to_string()
                .contains("line 1")
    );
}

#[cfg(not(feature = "charset"))]
#[tokio::test]
async fn other_charsets_need_the_feature() {
    let error = text_of("text/plain; charset=latin1", "a").text().await;
    assert!(
        error
            .expect_err("latin1")
            .to_string()
            .contains("only UTF-8")
    );
}

#[cfg(feature = "charset")]
#[tokio::test]
async fn text_is_decoded_by_mark_then_header_then_utf8() {
    for (content_type, body, text) in [
        ("text/plain; charset=latin1", &[b'a', 0xe9, 0x80][..], "aé€"),
        ("text/plain; charset=\"ISO-8859-15\"", &[0xa4], "€"),
        ("text/plain; charset=shift_jis", &[0x83, 0x65], "テ"),
        ("text/plain; charset=utf-16", &[b'a', 0], "a"),
        ("text/plain; charset=utf-16be", &[0, b'a'], "a"),
        // The mark wins over the header, and is no text.
        ("text/plain; charset=latin1", "\u{feff}é".as_bytes(), "é"),
        ("text/plain", &[0xff, 0xfe, b'a', 0], "a"),
        ("text/plain; charset=utf-8", &[0xfe, 0xff, 0, b'a'], "a"),
        // With and without the feature.
        ("text/plain; charset=us-ascii", "é".as_bytes(), "é"),
        ("text/plain", &[], ""),
    ] {
        let read = text_of(content_type, body.to_vec()).text().await;
        assert_eq!(read.expect("text"), text, "{content_type}");
    }
    let error = text_of("text/plain; charset=shift_jis", vec![0x83])
        .text()
        .await;
    let error = error.expect_err("half a character");
    assert!(
        error.is_decode() && error.to_string().contains("Shift_JIS"),
        "{error}"
    );
    let lossy = text_of("text/plain; charset=shift_jis", vec![0x83])
        .text_lossy()
        .await;
    assert_eq!(lossy.expect("text"), "\u{fffd}");
    // A label that stands for no charset (the WHATWG's `replacement`).
    let error = text_of("text/plain; charset=iso-2022-kr", "a").text().await;
    assert!(error.expect_err("no charset").is_decode());
}

#[tokio::test]
async fn lossy_text_is_never_an_error_of_decoding() {
    for (content_type, body, text) in [
        ("text/plain", &b"a\xffb"[..], "a\u{fffd}b"),
        ("text/plain", b"\xef\xbb\xbfa\xff", "a\u{fffd}"),
        ("text/plain; charset=x-klingon", b"a", "a"),
    ] {
        let read = text_of(content_type, body.to_vec()).text_lossy().await;
        assert_eq!(read.expect("text"), text);
    }
    let error = broken().text_lossy().await.expect_err("half");
    assert!(error.is_body());
}

#[cfg(feature = "json")]
#[tokio::test]
async fn json_errors_say_where() {
    #[derive(Debug, serde::Deserialize)]
    struct Order {
        #[allow(dead_code, reason = "only its shape matters")]
        items: Vec<Item>,
    }
    #[derive(Debug, serde::Deserialize)]
    struct Item {
        #[allow(dead_code, reason = "only its shape matters")]
        price: u32,
    }
    for (body, place) in [
        (
            r#"{"items": [{"price": 1}, {"price": "two"}]}"#,
            "Order`, at `items[1].price`",
        ),
        (r#"{"items": [{"cost": 1}]}"#, "Order`, at `items[0]`"),
        (r#"[]"#, "Order`"),
        (r#"{"items": []} more"#, "Order`"),
        ("", "Order`"),
    ] {
        let error = pieces(&[body])
            .json::<Order>()
            .await
            .expect_err("another shape");
        assert!(error.is_decode() && error.source().is_some());
        assert!(error.to_string().ends_with(place), "{error}");
    }
}

#[cfg(feature = "json")]
#[tokio::test]
async fn json_is_of_the_type_of_its_status() {
    let answer = |status: u16, body: &'static str| {
        let response = Response::builder().status(status).header("x-id", "7");
        response.body(Body::from(body)).expect("a response")
    };
    let good = answer(201, "[1]")
        .json_result::<Vec<u8>, String>()
        .await
        .expect("json")
        .expect("2xx");
    assert_eq!(
        (good.status().as_u16(), good.body(), &good.headers()["x-id"]),
        (201, &vec![1], &http::HeaderValue::from_static("7"))
    );
    for status in [302, 404, 500] {
        let bad = answer(status, "\"no\"")
            .json_result::<Vec<u8>, String>()
            .await
            .expect("json");
        let bad = bad.expect_err("not 2xx");
        assert_eq!((bad.status().as_u16(), &bad.body()[..]), (status, "no"));
    }
    let error = answer(200, "\"no\"").json_result::<Vec<u8>, String>().await;
    assert!(error.expect_err("another shape").is_decode());
    let error = answer(200, "[1]")
        .body_limit(2)
        .json_result::<Vec<u8>, String>()
        .await;
    assert!(error.expect_err("too long").is_too_large());
}

#[cfg(feature = "xml")]
#[tokio::test]
async fn xml_is_read_or_an_error_that_says_where() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Order {
        #[serde(rename = "@id")]
        id: u32,
        item: Vec<Item>,
    }
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Item {
        price: u32,
    }
    let read = |body: &'static str| pieces(&[body]).xml::<Order>();
    let order = read(
        "\u{feff}<?xml version=\"1.0\"?><order id=\"7\"><item><price>1</price></item></order>",
    )
    .await;
    assert_eq!(
        order.expect("an order"),
        Order {
            id: 7,
            item: vec![Item { price: 1 }]
        }
    );
    let error = read("<order id=\"7\"><item><price>one</price></item></order>")
        .await
        .expect_err("no number");
    assert!(
        error.is_decode() && error.to_string().contains("at `item"),
        "{error}"
    );
    assert!(error.source().is_some());
    for body in ["", "<order id=\"7\"><item>", "{}"] {
        assert!(read(body).await.expect_err("no XML").is_decode(), "{body}");
    }
    // A billion laughs: entities of the document's own are not known.
    let laughs = "<!DOCTYPE o [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><order id=\"7\"><item><price>&b;</price></item></order>";
    assert!(read(laughs).await.expect_err("an entity").is_decode());
}

#[cfg(all(feature = "xml", feature = "charset"))]
#[tokio::test]
async fn xml_is_in_the_charset_of_its_header() {
    let xml: Vec<u8> = [&b"<a>"[..], &[0xe9], b"</a>"].concat();
    let read = text_of("application/xml; charset=latin1", xml)
        .xml::<String>()
        .await;
    assert_eq!(read.expect("text"), "é");

    for (content_type, declaration, text) in [
        (
            "text/xml",
            "<?xml version='1.0' encoding = 'ISO-8859-1' ?>",
            "é",
        ),
        // The header wins over the declaration.
        (
            "text/xml; charset=koi8-r",
            "<?xml version=\"1.0\" encoding=\"latin1\"?>",
            "И",
        ),
    ] {
        let xml = [declaration.as_bytes(), b"<a>", &[0xe9], b"</a>"].concat();
        let read = text_of(content_type, xml).xml::<String>().await;
        assert_eq!(read.expect("text"), text, "{declaration}");
    }
    let utf16 = "<?xml version=\"1.0\" encoding=\"utf-16\"?><a>é</a>";
    let read = text_of("text/xml", utf16).xml::<String>().await;
    assert_eq!(read.expect("text"), "é");
    let unknown = "<?xml version=\"1.0\" encoding=\"x-klingon\"?><a/>";
    let error = text_of("text/xml", unknown).xml::<String>().await;
    assert!(
        error
            .expect_err("no charset")
            .to_string()
            .contains("x-klingon")
    );
}
