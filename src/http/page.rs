//! The live page: files that are part of the program, made by nothing and asking nobody but us.

use hyper::{
    StatusCode,
    header::{CONTENT_SECURITY_POLICY, HeaderValue},
};

use super::answer::Answer;

/// Scripts, styles and figures come from here alone; nothing may frame the page or be posted by it. Text of tables and errors
/// goes into it as text, so this is the second line of defence.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// One file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct File {
    content_type: &'static str,
    text: &'static str,
}

/// The file at a path; `None` where the page has none.
pub(super) fn file(path: &str) -> Option<File> {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    let (content_type, text) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("page/index.html")),
        "/page.css" => ("text/css; charset=utf-8", include_str!("page/page.css")),
        "/page.js" => (SCRIPT, include_str!("page/page.js")),
        "/chart.js" => (SCRIPT, include_str!("page/chart.js")),
        "/format.js" => (SCRIPT, include_str!("page/format.js")),
        _ => return None,
    };
    Some(File { content_type, text })
}

impl File {
    pub(super) fn answer(self) -> Answer {
        let policy = HeaderValue::from_static(POLICY);
        Answer::new(StatusCode::OK, self.content_type, self.text).with(CONTENT_SECURITY_POLICY, policy)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_page_asks_for_nothing_that_is_not_here() {
        let page = file("/").unwrap().text;
        for reference in ["page.css", "page.js"] {
            assert!(page.contains(&format!("\"{reference}\"")) && file(&format!("/{reference}")).is_some());
        }
        for path in ["/", "/page.css", "/page.js", "/chart.js", "/format.js"] {
            let text = file(path).unwrap().text;
            let outside =
                text.lines().find(|l| l.contains("//") && l.contains("http") && !l.contains("www.w3.org/2000/svg"));
            assert_eq!(outside, None, "{path}");
            // Text of others must not become markup.
            assert!(!text.contains("innerHTML") && !text.contains("insertAdjacentHTML"), "{path}");
        }
    }
}
