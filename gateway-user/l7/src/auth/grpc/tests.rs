//! Questions and answers in bytes.

use http::uri::PathAndQuery;

use super::*;

/// "AllowedRequestHeaders specifies what headers from the client request will be sent to the authorization server. If this
/// list is empty, then all headers must be sent."
#[test]
fn a_question_tells_of_the_request_and_its_peers() {
    let head = Request::post("/x")
        .header("host", "shop.test")
        .header("x-a", "1")
        .header("x-a", "2")
        .header("x-b", "3");
    let (head, ()) = head.body(()).expect("a request").into_parts();
    let target = PathAndQuery::from_static("/x?q");
    let facts = Facts {
        target: &target,
        scheme: "https",
        peer: ([192, 0, 2, 1], 4000).into(),
        local: ([192, 0, 2, 100], 443).into(),
        server_name: Some("shop.test"),
        body: Some(Bytes::from_static(b"abc")),
    };
    let listed = Listing::These(vec![HeaderName::from_static("x-a")]);
    let (asked, body) = question(&head, &facts, &listed).expect("a question");
    assert_eq!(asked.uri, CHECK);
    let (prefix, message) = body.split_at(PREFIX_BYTES);
    assert_eq!(prefix[0], 0);
    assert_eq!(usize::from(prefix[4]), message.len());

    let attributes = sub(message, 1);
    let source = sub(sub(sub(attributes, 1), 1), 1);
    assert_eq!(text(source, 2), ["192.0.2.1"]);
    assert_eq!(number(source, 3), 4000);
    assert_eq!(text(sub(attributes, 12), 1), ["shop.test"]);
    let request = sub(sub(attributes, 4), 2);
    for (field, expected) in [
        (2, "POST"),
        (4, "/x?q"),
        (5, "shop.test"),
        (6, "https"),
        (10, "HTTP/1.1"),
        (11, "abc"),
    ] {
        assert_eq!(text(request, field), [expected]);
    }
    let headers: Vec<_> = all(request, 3)
        .into_iter()
        .map(|it| (text(it, 1), text(it, 2)))
        .collect();
    assert_eq!(headers, [(vec!["x-a".to_owned()], vec!["1,2".to_owned()])]);

    let (_, body) = question(&head, &facts, &Listing::Any).expect("a question");
    let (_, message) = body.split_at(PREFIX_BYTES);
    let request = sub(sub(sub(message, 1), 4), 2);
    assert_eq!(all(request, 3).len(), 3);
}

#[test]
fn a_yes_edits_and_a_no_is_told_to_the_client() {
    let option = |name: &str, value: &str| {
        let header = Message::default().bytes(1, name).bytes(2, value);
        Message::default().message(1, header)
    };
    let append = Message::default().number(1, 1);
    let ok = Message::default()
        .message(2, option("x-user", "ann"))
        .message(2, option("x-role", "b").message(2, append))
        .message(2, option("x-new", "n").number(3, 1))
        .message(2, option("content-length", "9"))
        .bytes(5, "cookie")
        .message(6, option("x-seen", "1"));
    let granted = Message::default()
        .message(1, Message::default())
        .message(3, ok);
    let Ok(Verdict::Granted(grant)) = verdict(&framed(granted)) else {
        panic!("not a yes");
    };
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-user", "forged"),
        ("x-role", "a"),
        ("x-new", "old"),
        ("cookie", "c"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    grant.edit_request(&mut headers);
    let lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
        .collect();
    let mut lines = lines;
    lines.sort();
    assert_eq!(
        lines,
        ["x-new: old", "x-role: a", "x-role: b", "x-user: ann"]
    );
    let mut response = HeaderMap::new();
    grant.edit_response(&mut response);
    assert_eq!(response["x-seen"], "1");

    let denied = Message::default()
        .message(1, Message::default().number(1, 401))
        .message(2, option("www-authenticate", "Basic"))
        .bytes(3, "who?");
    let no = Message::default()
        .message(1, Message::default().number(1, 16))
        .message(2, denied);
    let Ok(Verdict::Denied(denial)) = verdict(&framed(no)) else {
        panic!("not a no");
    };
    assert_eq!(
        (denial.status.as_u16(), denial.body.as_ref()),
        (401, &b"who?"[..])
    );
    assert_eq!(denial.headers["www-authenticate"], "Basic");
}

/// A no never looks like a yes, and what can not be read is no yes.
#[test]
fn what_is_not_said_clearly_is_refused() {
    let code = |code: u64| Message::default().number(1, code);
    let no = Message::default().message(1, code(7));
    assert_eq!(
        verdict(&framed(no)),
        Ok(Verdict::Denied(Denial::forbidden()))
    );
    for status in [0, 200, 204, 99_999] {
        let denied = Message::default().message(1, code(status));
        let no = Message::default().message(1, code(7)).message(2, denied);
        let forbidden = Ok(Verdict::Denied(Denial::forbidden()));
        assert_eq!(verdict(&framed(no)), forbidden, "{status}");
    }
    let mut compressed = framed(Message::default());
    compressed[0] = 1;
    let mut longer = framed(Message::default().number(1, 1));
    longer.push(0);
    let failed = Err(Refusal::AuthorizationFailed);
    for body in [
        &b""[..],
        b"\0\0\0",
        &compressed,
        &longer,
        b"\0\0\0\0\x01\xff",
    ] {
        assert_eq!(verdict(body), failed, "{body:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_answer_is_too_strange(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
        let mut framed = framed(Message::default());
        framed.truncate(1);
        framed.extend(u32::try_from(body.len()).expect("short").to_be_bytes());
        framed.extend(body);
        drop(verdict(&framed));
    }
}

fn framed(message: Message) -> Vec<u8> {
    let message = message.into_bytes();
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).expect("short").to_be_bytes());
    body.extend(message);
    body
}

fn all(message: &[u8], field: u32) -> Vec<&[u8]> {
    let fields = fields(message).expect("a message").into_iter();
    fields
        .filter_map(|(number, value)| match value {
            Value::Bytes(bytes) if number == field => Some(bytes),
            Value::Bytes(_) | Value::Number(_) | Value::Other => None,
        })
        .collect()
}

fn sub(message: &[u8], field: u32) -> &[u8] {
    all(message, field).pop().expect("the field")
}

fn text(message: &[u8], field: u32) -> Vec<String> {
    let all = all(message, field).into_iter();
    all.map(|bytes| String::from_utf8(bytes.to_vec()).expect("text"))
        .collect()
}

fn number(message: &[u8], field: u32) -> u64 {
    let mut fields = fields(message).expect("a message").into_iter();
    let found = fields.find_map(|(number, value)| match value {
        Value::Number(value) if number == field => Some(value),
        Value::Number(_) | Value::Bytes(_) | Value::Other => None,
    });
    found.expect("the field")
}
