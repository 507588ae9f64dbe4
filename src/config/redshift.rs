//! `[warehouse.redshift]`: what only Redshift needs.

use std::{fmt, path::PathBuf};

use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{LakeUrl, Problem, Secret, Warehouse, WarehouseUrl, problem::Misfit};

/// Port of a cluster unless the address says another.
const PORT: u16 = 5439;
/// Bytes of an identifier.
const NAME_BYTES_MAX: usize = 127;

/// How Redshift is logged in to, what it reads the lake with, and how much is asked of it at once.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedshiftSettings {
    /// What COPY reads the lake with: `default` (the role that is the cluster's default), the ARN of a role of the cluster (a
    /// chain of roles with commas), or `keys`: the AWS keys of this process are then written into each COPY statement, for
    /// warehouses that have no role. Default `default`.
    #[serde(default = "default_role")]
    #[schemars(extend("examples" = ["arn:aws:iam::123456789012:role/tailwater-copy"]))]
    pub iam_role: String,
    /// How to log in. Default `password`.
    #[serde(default)]
    pub login: RedshiftLogin,
    /// Identifier of the provisioned cluster. For temporary credentials and the Data API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Name of the serverless workgroup. For temporary credentials and the Data API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workgroup: Option<String>,
    /// Database groups to join for the session. With `login = "cluster"` only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Send statements through the Redshift Data API instead of a connection, as the AWS identity of this process: no
    /// network path to the cluster is needed. Slower, and of more than 16 changed tables some become visible a moment before
    /// the others. Default false.
    #[serde(default)]
    pub data_api: bool,
    /// Schema of Tailwater's own tables, created when missing. Default `_tailwater`.
    #[serde(default = "default_private_schema")]
    pub private_schema: String,
    /// Connections that load tables side by side. Each takes a slot of the cluster's WLM queue while it loads. From 1 to 16.
    /// Default 4.
    #[serde(default = "default_connections")]
    #[schemars(range(min = 1, max = 16))]
    pub connections: u32,
    /// Tables with no more rows than this in a tick are sent as INSERT: a COPY takes a second or two whatever it loads. 0
    /// always copies. Default 200.
    #[serde(default = "default_insert_rows_max")]
    #[schemars(range(min = 0, max = 10_000))]
    pub insert_rows_max: u64,
    /// AWS region of the cluster. Default: the region in its host name, else that of the AWS environment or profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Address of the AWS services for credentials and the Data API, where it is not AWS's own: a VPC endpoint, a test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "http-url"))]
    pub endpoint: Option<String>,
}

fn default_role() -> String {
    "default".to_owned()
}

fn default_private_schema() -> String {
    super::warehouse::PRIVATE_SCHEMA.to_owned()
}

fn default_connections() -> u32 {
    4
}

fn default_insert_rows_max() -> u64 {
    200
}

impl Default for RedshiftSettings {
    fn default() -> Self {
        Self {
            iam_role: default_role(),
            login: RedshiftLogin::default(),
            cluster: None,
            workgroup: None,
            groups: Vec::new(),
            data_api: false,
            private_schema: default_private_schema(),
            connections: default_connections(),
            insert_rows_max: default_insert_rows_max(),
            region: None,
            endpoint: None,
        }
    }
}

/// How to log in to Redshift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RedshiftLogin {
    /// With the user's password.
    #[default]
    Password,
    /// As the user, with a temporary password of `redshift:GetClusterCredentials`. Needs `cluster`.
    Cluster,
    /// As the user of the AWS identity, by `redshift:GetClusterCredentialsWithIAM`. Needs `cluster`.
    ClusterIam,
    /// As the user of the AWS identity, by `redshift-serverless:GetCredentials`. Needs `workgroup`.
    Workgroup,
}

/// `redshift://user:password@host:port/database?sslmode=…&sslrootcert=…`, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct RedshiftUrl {
    /// Host name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User; empty where the login brings one.
    pub user: String,
    /// Password, where it stands in the address.
    pub password: Option<Secret>,
    /// Database.
    pub database: String,
    /// How the connection is protected.
    pub tls: RedshiftTls,
    /// File with the certificate authority to trust.
    pub ca: Option<PathBuf>,
}

/// How a connection to Redshift is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedshiftTls {
    /// Not at all.
    Disable,
    /// Encrypted; the server may be anybody.
    Require,
    /// The server's certificate is of a trusted authority.
    VerifyCa,
    /// And it names the host.
    #[default]
    VerifyFull,
}

impl RedshiftTls {
    fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl RedshiftUrl {
    /// Takes an address apart. Its error repeats nothing that may be a password.
    pub(super) fn parse(text: &str) -> Result<Self, Misfit> {
        const FORM: &str = "write \"redshift://user@host:5439/database\"";
        let url = Url::parse(text).map_err(|e| Misfit::new(format!("not an address of a server: {e}"), FORM))?;
        let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let host = url.host_str().unwrap_or_default().to_owned();
        if host.is_empty() {
            return Err(Misfit::new("the address names no host", FORM));
        }
        let database = decoded(url.path().trim_start_matches('/'));
        if database.is_empty() {
            return Err(Misfit::new("the address names no database", FORM));
        }
        let mut address = Self {
            host,
            port: url.port().unwrap_or(PORT),
            user: decoded(url.username()),
            password: url.password().map(|p| Secret::new(decoded(p))),
            database,
            tls: RedshiftTls::default(),
            ca: None,
        };
        for (key, value) in url.query_pairs() {
            match key.as_ref() {
                "sslmode" => address.tls = tls(&value)?,
                "sslrootcert" => address.ca = Some(PathBuf::from(value.as_ref())),
                _ => {
                    let mend = "remove it: only sslmode and sslrootcert are understood";
                    return Err(Misfit::new(format!("the address has a parameter {key:?}"), mend));
                }
            }
        }
        Ok(address)
    }

    /// Whether the host's name is that of a serverless workgroup: `name.account.region.redshift-serverless.amazonaws.com`.
    pub(super) fn is_serverless(&self) -> bool {
        self.host.to_ascii_lowercase().contains(".redshift-serverless.")
    }

    /// The region that the host's name tells, as AWS's own names do: `name.id.region.redshift.amazonaws.com`.
    pub fn region(&self) -> Option<&str> {
        let (head, _) = self.host.split_once(".redshift")?;
        let (_, region) = head.rsplit_once('.')?;
        self.host.contains(".amazonaws.com").then_some(region)
    }
}

fn tls(text: &str) -> Result<RedshiftTls, Misfit> {
    let modes = [RedshiftTls::Disable, RedshiftTls::Require, RedshiftTls::VerifyCa, RedshiftTls::VerifyFull];
    modes.into_iter().find(|mode| mode.as_str() == text).ok_or_else(|| {
        Misfit::new(format!("sslmode {text:?} is not known"), "write disable, require, verify-ca or verify-full")
    })
}

impl fmt::Debug for RedshiftUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for RedshiftUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, user, database, .. } = self;
        f.write_str("redshift://")?;
        if !user.is_empty() {
            let password = if self.password.is_some() { ":***" } else { "" };
            write!(f, "{user}{password}@")?;
        }
        write!(f, "{host}:{port}/{database}")?;
        if self.tls != RedshiftTls::default() {
            write!(f, "?sslmode={}", self.tls.as_str())?;
        }
        Ok(())
    }
}

/// What is wrong with a Redshift warehouse and its lake.
pub(super) fn problems(warehouse: &Warehouse, lake: &super::Lake, problems: &mut Vec<Problem>) {
    let WarehouseUrl::Redshift(url) = &warehouse.url else {
        if warehouse.redshift.is_some() {
            let what = format!("the warehouse is {}", warehouse.url.without_layout().unwrap_or("another product"));
            problems.push(Problem::new(
                "warehouse.redshift",
                what,
                "remove the section, or write a redshift:// address",
            ));
        }
        return;
    };
    let settings = warehouse.redshift_settings();
    if matches!(lake.url, LakeUrl::Folder(_)) {
        let what = "Redshift loads from S3 and nowhere else";
        problems.push(Problem::new("lake.url", what, "write \"s3://bucket/prefix\""));
    }
    if let (Some(own), Some(theirs)) = (&lake.region, url.region())
        && own != theirs
    {
        let what = format!("the bucket is in {own} and the cluster in {theirs}: COPY cannot load across regions");
        problems.push(Problem::new("lake.region", what, "use a bucket in the cluster's region"));
    }
    logins(warehouse, url, &settings, problems);
    let role = &settings.iam_role;
    if role != "default" && role != "keys" && !role.split(',').all(|arn| arn.trim().starts_with("arn:aws")) {
        let mend = "write \"default\", \"keys\" or \"arn:aws:iam::<account>:role/<name>\"";
        problems.push(Problem::new("warehouse.redshift.iam_role", format!("{role:?} is not a role"), mend));
    }
    let private = &settings.private_schema;
    if private.is_empty() || private.len() > NAME_BYTES_MAX || private.contains(['.', '\0', '"']) {
        let mend = format!("use 1 to {NAME_BYTES_MAX} bytes without a dot or a quote");
        problems.push(Problem::new("warehouse.redshift.private_schema", "not a schema name", mend));
    } else if private.eq_ignore_ascii_case(&warehouse.schema) {
        let what = "targets would lie among Tailwater's own tables";
        problems.push(Problem::new("warehouse.redshift.private_schema", what, "choose another schema"));
    }
}

fn logins(warehouse: &Warehouse, url: &RedshiftUrl, settings: &RedshiftSettings, problems: &mut Vec<Problem>) {
    let mut problem = |key: &str, what: &str, mend: &str| {
        problems.push(Problem::new(format!("warehouse.{key}"), what, mend));
    };
    let given = warehouse.password.is_some() || url.password.is_some();
    let named = settings.cluster.is_some() || settings.workgroup.is_some();
    if settings.data_api {
        if !named {
            problem(
                "redshift.data_api",
                "the Data API is asked by a name",
                "set redshift.cluster or redshift.workgroup",
            );
        }
        if given {
            problem("password", "the Data API takes no password", "remove it");
        }
        return;
    }
    let (needs_cluster, needs_workgroup) = match settings.login {
        RedshiftLogin::Password => {
            if !given {
                let mend = "set warehouse.password_env, or redshift.login to log in with AWS's temporary credentials";
                problem("password", "no password is given", mend);
            }
            (false, false)
        }
        RedshiftLogin::Cluster | RedshiftLogin::ClusterIam => (true, false),
        RedshiftLogin::Workgroup => (false, true),
    };
    if needs_cluster && settings.cluster.is_none() {
        problem("redshift.cluster", "the login needs the cluster's identifier", "set it");
    }
    if needs_workgroup && settings.workgroup.is_none() {
        problem("redshift.workgroup", "the login needs the workgroup's name", "set it");
    }
    if given && (needs_cluster || needs_workgroup) {
        problem(
            "password",
            "the login brings a password of its own",
            "remove it, or set redshift.login to \"password\"",
        );
    }
    let names_user = matches!(settings.login, RedshiftLogin::Password | RedshiftLogin::Cluster);
    if names_user && url.user.is_empty() {
        problem("url", "the address names no user", "write \"redshift://user@host:5439/database\"");
    }
    if !settings.groups.is_empty() && settings.login != RedshiftLogin::Cluster {
        problem("redshift.groups", "only login = \"cluster\" joins groups", "remove them");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::Lake;

    fn found(url: &str, settings: Option<RedshiftSettings>, password: bool) -> Vec<String> {
        let mut warehouse = Warehouse::new(url.parse().unwrap());
        warehouse.redshift = settings;
        warehouse.password = password.then(|| Secret::new("hunter2"));
        let mut found = Vec::new();
        problems(&warehouse, &Lake::new("s3://bucket/x".parse().unwrap()), &mut found);
        found.into_iter().map(|p| p.key).collect()
    }

    #[test]
    fn addresses_are_taken_apart() {
        let url = RedshiftUrl::parse("redshift://u:p%40$%25@c.x1.eu-west-1.redshift.amazonaws.com/dw").unwrap();
        assert_eq!((url.port, url.database.as_str()), (5439, "dw"));
        assert_eq!(url.password.as_ref().unwrap().reveal(), "p@$%");
        assert_eq!(url.region(), Some("eu-west-1"));
        assert_eq!(url.tls, RedshiftTls::VerifyFull);
        assert_eq!(url.to_string(), "redshift://u:***@c.x1.eu-west-1.redshift.amazonaws.com:5439/dw");
        let serverless = "redshift://w.123.us-east-2.redshift-serverless.amazonaws.com:5439/dev?sslmode=verify-ca";
        assert_eq!(RedshiftUrl::parse(serverless).unwrap().region(), Some("us-east-2"));
        assert_eq!(RedshiftUrl::parse("redshift://u@127.0.0.1:1/d?sslmode=disable").unwrap().region(), None);
        for bad in ["redshift://u@h", "redshift:///d", "redshift://u@h/d?sslmode=prefer", "redshift://u@h/d?options=x"]
        {
            RedshiftUrl::parse(bad).map(|_| ()).unwrap_err();
        }
    }

    #[test]
    fn every_login_says_what_it_lacks() {
        let with = |change: fn(&mut RedshiftSettings)| {
            let mut settings = RedshiftSettings::default();
            change(&mut settings);
            Some(settings)
        };
        let url = "redshift://u@h/d";
        assert_eq!(found(url, None, true), Vec::<String>::new());
        assert_eq!(found(url, None, false), ["warehouse.password"]);
        assert_eq!(found("redshift://h/d", None, true), ["warehouse.url"]);
        let workgroup = with(|s| s.login = RedshiftLogin::Workgroup);
        assert_eq!(found("redshift://h/d", workgroup.clone(), false), ["warehouse.redshift.workgroup"]);
        assert_eq!(found("redshift://h/d", workgroup, true), ["warehouse.redshift.workgroup", "warehouse.password"]);
        let cluster = with(|s| {
            s.login = RedshiftLogin::ClusterIam;
            s.cluster = Some("c".to_owned());
            s.groups = vec!["g".to_owned()];
        });
        assert_eq!(found("redshift://h/d", cluster, false), ["warehouse.redshift.groups"]);
        assert_eq!(found(url, with(|s| s.data_api = true), false), ["warehouse.redshift.data_api"]);
        assert_eq!(found(url, with(|s| s.iam_role = "role".to_owned()), true), ["warehouse.redshift.iam_role"]);
        let same = with(|s| s.private_schema = "Public".to_owned());
        assert_eq!(found(url, same, true), ["warehouse.redshift.private_schema"]);
        assert_eq!(found("sqlite:x.db", with(|_| {}), false), ["warehouse.redshift"]);
    }
}
