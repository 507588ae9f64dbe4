//! Fields of the query protocol's forms.

/// Decodes `a=b&c=d`.
pub(super) fn fields(body: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(body).into_owned().collect()
}

/// One field.
pub(super) fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

/// Members of a list: `<name>.<member>.1`, ….
pub(super) fn list(fields: &[(String, String)], name: &str) -> Vec<String> {
    let prefix = format!("{name}.");
    fields.iter().filter(|(found, _)| found.starts_with(&prefix)).map(|(_, value)| value.clone()).collect()
}
