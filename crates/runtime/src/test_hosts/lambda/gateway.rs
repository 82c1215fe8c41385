//! HTTP to events of payload format 2.0 and back, as a function URL does it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use serde_json::{Map, Value, json};

pub fn event(request: Request<Bytes>) -> Value {
    let (parts, body) = request.into_parts();
    let cookies: Vec<&str> = parts
        .headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| value.to_str().expect("cookies in ASCII").split("; "))
        .collect();
    let path = parts.uri.path();
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": headers(&parts.headers),
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "test",
            "domainName": "function.lambda-url.test",
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
            },
            "routeKey": "$default",
            "stage": "$default",
            "time": "01/Jan/2030:00:00:00 +0000",
            "timeEpoch": 1_893_456_000_000_u64,
        },
        "isBase64Encoded": false,
    });
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !body.is_empty() {
        event["isBase64Encoded"] = json!(true);
        event["body"] = json!(STANDARD.encode(&body));
    }
    event
}

/// Several values of one header arrive as one; nothing of the connection arrives.
fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let connection = [
        header::COOKIE,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
    ];
    let names = headers.keys().filter(|name| !connection.contains(name));
    let joined = names.map(|name| {
        let values = headers.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        (name.to_string(), Value::from(values.join(",")))
    });
    let mut all: Map<String, Value> = joined.collect();
    all.entry("host")
        .or_insert_with(|| "function.lambda-url.test".into());
    all
}

pub fn response(reply: &Value) -> Response<Bytes> {
    let status = reply["statusCode"].as_u64().expect("a status code");
    let mut response = Response::builder().status(u16::try_from(status).expect("a status code"));
    for (name, value) in reply["headers"].as_object().expect("headers") {
        response = response.header(name, value.as_str().expect("one value per name"));
    }
    for cookie in reply["cookies"].as_array().expect("cookies") {
        response = response.header(header::SET_COOKIE, cookie.as_str().expect("a string"));
    }
    let body = reply["body"].as_str().expect("a body");
    let body = if reply["isBase64Encoded"] == true {
        Bytes::from(STANDARD.decode(body).expect("base64"))
    } else {
        Bytes::from(body.to_owned())
    };
    response.body(body).expect("valid headers")
}
