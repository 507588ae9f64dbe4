//! Answers in the two protocols: AWS JSON, and XML of the query protocol.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use serde_json::{Value, json};

/// What is sent back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

impl Answer {
    /// Success in AWS JSON.
    pub(super) fn json(body: &Value) -> Self {
        Self { status: 200, content_type: "application/x-amz-json-1.1", body: body.to_string() }
    }

    /// An error in AWS JSON.
    pub(super) fn error(status: u16, kind: &str, message: &str) -> Self {
        let body = json!({ "__type": kind, "message": message, "Message": message });
        Self { status, content_type: "application/x-amz-json-1.1", body: body.to_string() }
    }

    /// Success in XML: elements inside of the operation's result.
    pub(super) fn xml(operation: &str, elements: &[(&str, &str)]) -> Self {
        let inner: String =
            elements.iter().map(|(name, value)| format!("<{name}>{}</{name}>", escaped(value))).collect();
        let body = format!(
            "<{operation}Response xmlns=\"http://redshift.amazonaws.com/doc/2012-12-01/\"><{operation}Result>{inner}\
             </{operation}Result><ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></{operation}Response>"
        );
        Self { status: 200, content_type: "text/xml", body }
    }

    /// An error in XML.
    pub(super) fn xml_error(status: u16, code: &str, message: &str) -> Self {
        let body = format!(
            "<ErrorResponse xmlns=\"http://redshift.amazonaws.com/doc/2012-12-01/\"><Error><Type>Sender</Type>\
             <Code>{code}</Code><Message>{}</Message></Error><RequestId>0</RequestId></ErrorResponse>",
            escaped(message)
        );
        Self { status, content_type: "text/xml", body }
    }

    pub(super) fn into_response(self) -> hyper::http::Result<Response<Full<Bytes>>> {
        Response::builder()
            .status(self.status)
            .header("content-type", self.content_type)
            .header("x-amzn-requestid", "0")
            .body(Full::from(self.body))
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
