use super::*;

const ROLE: &str = "arn:aws:iam::123456789012:role/loader";

fn parsed(text: &str) -> Statement {
    parse(text, false).unwrap()
}

fn refused(text: &str) -> (String, String) {
    let refusal = parse(text, false).unwrap_err();
    (refusal.code, refusal.message)
}

fn with(parameters: &str) -> String {
    format!("COPY t FROM 's3://b/k' IAM_ROLE '{ROLE}' FORMAT AS PARQUET {parameters}")
}

#[test]
fn the_usual_statement_is_taken_apart() {
    let statement = parsed(&format!(
        "COPY Shop.\"Orders\" (id, \"Note\") FROM 's3://lake/a/b.manifest' IAM_ROLE '{ROLE},{ROLE}2' FORMAT AS PARQUET \
         SERIALIZETOJSON MANIFEST FILLRECORD ACCEPTINVCHARS AS '^' STATUPDATE OFF;"
    ));
    assert_eq!(statement.schema.as_deref(), Some("shop"));
    assert_eq!(statement.table, "orders");
    assert_eq!(statement.columns.unwrap(), ["id", "note"]);
    assert_eq!((statement.bucket.as_str(), statement.key.as_str()), ("lake", "a/b.manifest"));
    assert_eq!(statement.authorization, Authorization::Roles(vec![ROLE.to_owned(), format!("{ROLE}2")]));
    assert!(statement.manifest && statement.fill_record && statement.serialize_to_json && !statement.explicit_ids);
    assert_eq!(statement.accept_invalid, Some('^'));
}

#[test]
fn parameters_stand_in_any_order_and_the_format_in_three_forms() {
    for text in ["FORMAT PARQUET", "FORMAT AS PARQUET", "PARQUET", "AS PARQUET"] {
        let statement = parsed(&format!("copy t from 's3://b//k' manifest {text} iam_role default"));
        assert_eq!((statement.key.as_str(), statement.manifest), ("/k", true));
        assert_eq!(statement.authorization, Authorization::DefaultRole);
    }
}

#[test]
fn keys_come_in_two_forms_and_are_never_shown() {
    let keys = Authorization::Keys { id: "AK".into(), secret: "S/+=".into(), token: Some("T".into()) };
    for text in [
        "CREDENTIALS 'aws_access_key_id=AK;aws_secret_access_key=S/+=;token=T'",
        "WITH CREDENTIALS AS 'aws_access_key_id=AK;aws_secret_access_key=S/+=;token=T'",
        "ACCESS_KEY_ID 'AK' SECRET_ACCESS_KEY 'S/+=' SESSION_TOKEN 'T'",
    ] {
        let statement = parsed(&format!("COPY t FROM 's3://b/k' {text} PARQUET"));
        assert_eq!(statement.authorization, keys);
        assert!(!format!("{statement:?}").contains("S/+="));
    }
    let (_, message) = refused("COPY t FROM 's3://b/k' ACCESS_KEY_ID 'AK' 'SECRET' PARQUET");
    assert_eq!(message, "syntax error at or near \"'...'\"");
}

#[test]
fn credentials_are_required_and_whole() {
    for text in [
        "",
        "ACCESS_KEY_ID 'AK'",
        "CREDENTIALS 'aws_access_key_id=AK'",
        "CREDENTIALS 'role'",
        "CREDENTIALS 'aws_iam_role=arn:aws:iam::123456789012:role/a;token=T'",
    ] {
        let (code, message) = refused(&format!("COPY t FROM 's3://b/k' {text} PARQUET"));
        assert_eq!(code, "XX000");
        assert!(message.starts_with("Invalid credentials. Must be of the format"), "{message}");
    }
    for role in ["loader", "arn:aws:iam::12345678901:role/a", "arn:aws:iam::123456789012:user/a", "default", ""] {
        let (_, message) = refused(&format!("COPY t FROM 's3://b/k' IAM_ROLE '{role}' PARQUET"));
        assert_eq!(message, format!("Invalid IAM role ARN '{role}'"));
    }
    let (code, _) = refused(&with("IAM_ROLE default"));
    assert_eq!(code, "42601");
}

#[test]
fn what_parquet_does_not_admit_is_refused_with_its_name() {
    for text in
        ["REGION 'us-east-1'", "TRUNCATECOLUMNS", "COMPUPDATE OFF", "MAXERROR 0", "GZIP", "NULL AS ''", "NOLOAD"]
    {
        let option = text.split(' ').next().unwrap();
        let expected = format!("{option} argument is not supported for PARQUET based COPY");
        assert_eq!(refused(&with(text)), ("0A000".to_owned(), expected.clone()));
        // Also where the format comes later.
        let before = format!("COPY t FROM 's3://b/k' {text} IAM_ROLE default FORMAT PARQUET");
        assert_eq!(refused(&before), ("0A000".to_owned(), expected));
    }
}

#[test]
fn unknown_words_and_repeated_parameters_are_syntax_errors() {
    assert_eq!(refused(&with("FASTER")), ("42601".to_owned(), "syntax error at or near \"FASTER\"".to_owned()));
    assert_eq!(refused(&with("MANIFEST MANIFEST")).0, "42601");
    assert_eq!(refused("COPY t FROM 's3://b/k' FORMAT").1, "syntax error at end of input");
    assert_eq!(refused(&with("; SELECT 1")).1, "syntax error at or near \"SELECT\"");
    assert_eq!(refused("COPY t FROM 's3://b/k").1, "unterminated quoted string");
    assert_eq!(refused("COPY t () FROM 's3://b/k'").1, "syntax error at or near \")\"");
    assert_eq!(refused(&with("ACCEPTINVCHARS 'ab'")).0, "22023");
}

#[test]
fn only_s3_and_only_parquet_are_sources() {
    for source in ["STDIN", "'/tmp/file'", "'s3:///key'"] {
        let (code, message) = refused(&format!("COPY t FROM {source} IAM_ROLE default PARQUET"));
        assert_eq!(code, "0A000");
        assert!(message.starts_with("LOAD source is not supported"), "{message}");
    }
    assert_eq!(refused("COPY t TO STDOUT").0, "0A000");
    assert_eq!(refused("COPY t FROM 's3://b/k' IAM_ROLE default FORMAT JSON 'auto'").0, "0A000");
    assert_eq!(refused("COPY t FROM 's3://b/k' IAM_ROLE default CSV PARQUET").0, "42601");
}

#[test]
fn names_are_folded_and_cut_and_texts_have_escapes() {
    let name = format!("{}é", "x".repeat(126));
    let text = format!("COPY /* a /* b */ c */ \"{name}\" -- why\nFROM 's3://b/it''s\\\\' IAM_ROLE default PARQUET");
    let statement = parsed(&text);
    assert_eq!(statement.table, "x".repeat(126));
    assert_eq!(statement.key, "it's\\");
    let sensitive = parse("COPY \"Orders\" FROM 's3://b/' IAM_ROLE default PARQUET", true).unwrap();
    assert_eq!((sensitive.table.as_str(), sensitive.key.as_str()), ("Orders", ""));
}
