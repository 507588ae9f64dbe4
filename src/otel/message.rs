//! OTLP's message of spans, in its JSON form: ids are hexadecimal, 64-bit integers are strings.

use serde_json::{Value, json};

use super::{Finished, Noted};
use crate::spans::Said;

/// Kind of a span that is neither a server's nor a client's: `SPAN_KIND_INTERNAL`.
const INTERNAL: u8 = 1;

/// `STATUS_CODE_ERROR`.
const FAILED: u8 = 2;

/// The message that tells `spans` of a process with these attributes.
pub(super) fn message(resource: &[(String, String)], spans: &[Finished]) -> Value {
    let resource: Vec<Value> =
        resource.iter().map(|(key, value)| json!({"key": key, "value": {"stringValue": value}})).collect();
    let spans: Vec<Value> = spans.iter().map(span).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{"scope": {"name": "tailwater", "version": env!("CARGO_PKG_VERSION")}, "spans": spans}],
    }]})
}

fn span(finished: &Finished) -> Value {
    let Finished { open, name, ended, fields } = finished;
    let mut span = json!({
        "traceId": format!("{:032x}", open.trace),
        "spanId": format!("{:016x}", open.id),
        "name": name,
        "kind": INTERNAL,
        "startTimeUnixNano": open.began.to_string(),
        "endTimeUnixNano": ended.to_string(),
        "attributes": fields.iter().map(attribute).collect::<Vec<_>>(),
        "events": open.events.iter().map(event).collect::<Vec<_>>(),
        "status": if open.failed { json!({"code": FAILED}) } else { json!({}) },
    });
    if let (Some(parent), Some(span)) = (open.parent, span.as_object_mut()) {
        span.insert("parentSpanId".to_owned(), format!("{parent:016x}").into());
    }
    span
}

fn event(noted: &Noted) -> Value {
    let message = noted.fields.0.iter().find(|said| said.name == "message").map(|said| said.value.clone());
    let fields = noted.fields.0.iter().filter(|said| said.name != "message").map(attribute);
    let level = json!({"key": "level", "value": {"stringValue": noted.level}});
    json!({
        "timeUnixNano": noted.at.to_string(),
        "name": message.unwrap_or_default(),
        "attributes": fields.chain([level]).collect::<Vec<_>>(),
    })
}

fn attribute(said: &Said) -> Value {
    let value = match &said.value {
        Value::Bool(value) => json!({"boolValue": value}),
        Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::String(text) => json!({"stringValue": text}),
        other => json!({"stringValue": other.to_string()}),
    };
    json!({"key": said.name, "value": value})
}
