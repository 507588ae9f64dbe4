//! Everything that would keep a cluster from being written, each with its mend.

use crate::{
    lake::Store,
    warehouse::{Finding, session::Value},
};

use super::{
    errors::Trouble,
    pool::Connector,
    script::{Channel, query},
    sql::{Names, catalog, name},
};

/// What is wrong; empty when all is well.
pub(crate) async fn findings(
    channel: &mut dyn Channel,
    names: &Names,
    connector: &Connector,
    store: &dyn Store,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(trouble) = connector.access().await {
        findings.push(Finding {
            problem: format!("COPY has nothing to read {} with: {}", store.describe(), trouble.failure),
            mend: "set warehouse.redshift.iam_role to the ARN of a role of the cluster, or give this process AWS keys"
                .to_owned(),
        });
    }
    match rights(channel, names).await {
        Ok(missing) => findings.extend(missing),
        Err(trouble) => findings.push(Finding {
            problem: format!("the catalog cannot be read: {}", trouble.failure),
            mend: "grant the user access to pg_namespace and information_schema".to_owned(),
        }),
    }
    findings
}

/// Rights on the database and on both schemas.
async fn rights(channel: &mut dyn Channel, names: &Names) -> Result<Vec<Finding>, Trouble> {
    let facts = query(channel, catalog::facts()).await?;
    let Some([user, _, create]) = facts.first().map(Vec::as_slice) else { return Ok(Vec::new()) };
    let user = name(user.text().unwrap_or("?"));
    let mut findings = Vec::new();
    for schema in [&names.private, &names.schema] {
        let quoted = name(schema);
        if query(channel, catalog::schema_exists(schema)).await?.is_empty() {
            if !yes(create) {
                findings.push(Finding {
                    problem: format!("schema {quoted} is missing and {user} may not create it"),
                    mend: format!("CREATE SCHEMA {quoted} AUTHORIZATION {user}"),
                });
            }
            continue;
        }
        let may = query(channel, catalog::may_create_in(schema)).await?;
        if !may.first().and_then(|row| row.first()).is_some_and(yes) {
            findings.push(Finding {
                problem: format!("{user} may not create tables in schema {quoted}"),
                mend: format!("GRANT USAGE, CREATE ON SCHEMA {quoted} TO {user}"),
            });
        }
    }
    Ok(findings)
}

fn yes(value: &Value) -> bool {
    value.int() == Some(1)
}
