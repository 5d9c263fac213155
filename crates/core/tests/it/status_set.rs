use bartizan_core::StatusSet;
use http::StatusCode;

#[test]
fn holds_exactly_what_was_put_in() {
    let set: StatusSet = " 100,501 - 504 ,999,".parse().expect("valid");
    let codes: Vec<u16> = set.iter().map(|code| code.as_u16()).collect();
    assert_eq!(codes, [100, 501, 502, 503, 504, 999]);
    for code in 100..1000 {
        let code = StatusCode::from_u16(code).expect("valid");
        assert_eq!(set.contains(code), codes.contains(&code.as_u16()));
    }
    assert_eq!(set.iter().collect::<StatusSet>(), set);
}

#[test]
fn what_is_no_set_of_statuses_says_why() {
    for (text, value) in [
        ("", "[]"),
        (" , ", "[]"),
        ("99", "99"),
        ("1000", "1000"),
        ("502;503", "502;503"),
        ("504-501", "504-501"),
        ("5xx", "5xx"),
        ("-503", "-503"),
        ("503-", "503-"),
        ("200, +501", "+501"),
    ] {
        let error = text.parse::<StatusSet>().expect_err(text);
        assert_eq!(error.field(), "statuses");
        assert_eq!(error.value(), value);
    }
    assert!(StatusSet::try_from([]).is_err());
    assert_eq!(StatusSet::try_from([503, 5]).expect_err("5").value(), "5");
}
