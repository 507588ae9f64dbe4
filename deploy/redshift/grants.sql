-- What Tailwater's user needs in Redshift. Run by a superuser, connected to the targets' database.
-- Replace the names where you use others: database dev, user tailwater, schemas shop and _tailwater (warehouse.schema and
-- warehouse.private_schema of the configuration). Every statement may be repeated, except CREATE USER.

-- 1. The user. A password that is stored as MD5 is one that every client can log in with; Redshift stores "sha256|…"
--    passwords in a way that only Amazon's drivers can answer. Write the digest yourself, so that the password stands in no
--    query log:  printf 'md5%s' "$(printf '%s' "PASSWORDtailwater" | md5sum | cut -d' ' -f1)"
CREATE USER tailwater PASSWORD 'md5<32 hexadecimal digits>' NOCREATEDB NOCREATEUSER;
--    With temporary credentials no password is needed at all:
--      provisioned, GetClusterCredentials          CREATE USER tailwater PASSWORD DISABLE;
--      provisioned, GetClusterCredentialsWithIAM   CREATE USER "IAMR:<role name>" PASSWORD DISABLE;  (made by the first login)
--      serverless, GetCredentials                  CREATE USER "IAMR:<role name>" PASSWORD DISABLE;  (made by the first login)
--    and the grants below go to that user.

-- 2. Room for Tailwater's own tables: fences, watermarks, registry, staging. Nobody else writes there.
CREATE SCHEMA IF NOT EXISTS _tailwater AUTHORIZATION tailwater;

-- 3. Room for targets: one schema for each that your rules name (target = "shop.orders"), and the one for targets without
--    a schema of their own (warehouse.schema, public by default). Tailwater owns the tables it creates there.
CREATE SCHEMA IF NOT EXISTS shop;
GRANT USAGE, CREATE ON SCHEMA shop TO tailwater;
GRANT USAGE, CREATE ON SCHEMA public TO tailwater;
--    Instead of making each schema yourself, let Tailwater create those that are missing:
--      GRANT CREATE ON DATABASE dev TO tailwater;

-- 4. COPY by role: the role is attached to the cluster or namespace. Where the database restricts who may use roles
--    (after REVOKE ASSUMEROLE ON ALL FROM PUBLIC FOR ALL):
--      GRANT ASSUMEROLE ON 'arn:aws:iam::<account>:role/tailwater-copy' TO tailwater FOR COPY;

-- 5. The reason of a refused load: users see the load errors of their own statements in sys_load_error_detail, which needs
--    no grant.

-- 6. Readers. Tailwater owns its targets, so default privileges are set for what it creates.
--      GRANT USAGE ON SCHEMA shop TO GROUP analysts;
--      GRANT SELECT ON ALL TABLES IN SCHEMA shop TO GROUP analysts;
--      ALTER DEFAULT PRIVILEGES FOR USER tailwater IN SCHEMA shop GRANT SELECT ON TABLES TO GROUP analysts;
--    Views on targets: CREATE VIEW … WITH NO SCHEMA BINDING, so that a column can become wider beneath them.

-- 7. A queue of its own (provisioned, manual WLM): a queue whose query group is 'tailwater', which every connection of
--    Tailwater sets. With automatic WLM give that query group a priority instead.
