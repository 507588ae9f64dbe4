-- Catalog views of Redshift. What PostgreSQL does not keep stands in comments as JSON, which follow transactions and go with
-- their table: of a table {schema, name, diststyle, sortkind, keys}, of a column {n: name, t: type, s: size, c: scale, i: identity,
-- e: encoding, d: distribution key, k: place in the sort key, p: primary key, u: in another key}, of a schema {name}.

CREATE SCHEMA tw_is;
CREATE SCHEMA tw_log;
GRANT USAGE ON SCHEMA tw_is, tw_log TO PUBLIC;

CREATE FUNCTION tw_is.to_json(comment text) RETURNS jsonb IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    RETURN comment::jsonb;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;

CREATE FUNCTION tw_is.row_count(relation oid) RETURNS bigint STABLE SECURITY DEFINER LANGUAGE plpgsql AS $$
DECLARE
    result bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM %s', relation::regclass) INTO result;
    RETURN result;
END $$;

-- Types of a view's columns, and of tables' columns nobody has described.
CREATE FUNCTION tw_is.type_name(type oid, modifier integer) RETURNS text STABLE LANGUAGE sql AS $$
    SELECT CASE type::regtype::text
        WHEN 'jsonb' THEN 'super'
        WHEN 'bytea' THEN 'binary varying'
        WHEN 'text' THEN 'character varying'
        ELSE split_part(format_type(type, NULL), '(', 1)
    END
$$;

CREATE VIEW tw_is.relations AS
    SELECT c.oid, c.relkind, c.relnamespace, c.relowner,
        CASE WHEN c.relpersistence = 't' THEN n.nspname ELSE coalesce(tw_is.to_json(obj_description(n.oid, 'pg_namespace')) ->> 'name', n.nspname) END
            AS schema_name,
        coalesce(d.about ->> 'name', c.relname) AS table_name,
        c.relpersistence = 't' AS temporary,
        d.about
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (SELECT tw_is.to_json(obj_description(c.oid, 'pg_class')) AS about) d
    WHERE c.relkind IN ('r', 'v') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'redshift', 'tw_is', 'tw_log', 'pg_toast');

CREATE VIEW tw_is.all_columns AS
    SELECT r.oid, r.relkind, r.schema_name, r.table_name, r.temporary, a.attnum,
        (row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum))::integer AS ordinal,
        a.attname, coalesce(d.about ->> 'n', a.attname) AS column_name,
        coalesce(d.about ->> 't', tw_is.type_name(a.atttypid, a.atttypmod)) AS type_name,
        coalesce((d.about ->> 's')::integer, CASE WHEN a.atttypid IN ('varchar'::regtype, 'text'::regtype) THEN 65535 WHEN a.atttypid = 'numeric'::regtype THEN 38 ELSE 0 END) AS type_size,
        coalesce((d.about ->> 'c')::integer, 0) AS type_scale,
        coalesce((d.about ->> 'i')::boolean, false) AS identity,
        coalesce(d.about ->> 'e', 'none') AS encoding,
        coalesce((d.about ->> 'd')::boolean, false) AS distkey,
        coalesce((d.about ->> 'k')::integer, 0) AS sortkey,
        coalesce((d.about ->> 'p')::boolean, false) AS in_key,
        coalesce((d.about ->> 'u')::boolean, false) AS constrained,
        a.attnotnull AS not_null,
        CASE WHEN NOT coalesce((d.about ->> 'i')::boolean, false) THEN pg_get_expr(f.adbin, f.adrelid) END AS default_value
    FROM tw_is.relations r
    JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
    CROSS JOIN LATERAL (SELECT tw_is.to_json(col_description(r.oid, a.attnum)) AS about) d;

CREATE FUNCTION tw_is.written(type_name text, size integer, scale integer) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE
        WHEN type_name = 'numeric' THEN format('numeric(%s,%s)', size, scale)
        WHEN size > 0 THEN format('%s(%s)', type_name, size)
        ELSE type_name
    END
$$;

CREATE VIEW tw_is.schemata AS
    SELECT current_database()::varchar AS catalog_name, coalesce(tw_is.to_json(obj_description(n.oid, 'pg_namespace')) ->> 'name', n.nspname)::varchar AS schema_name,
        pg_get_userbyid(n.nspowner)::varchar AS schema_owner, NULL::varchar AS default_character_set_catalog,
        NULL::varchar AS default_character_set_schema, NULL::varchar AS default_character_set_name, NULL::varchar AS sql_path
    FROM pg_namespace n
    WHERE n.nspname NOT IN ('redshift', 'tw_is', 'tw_log', 'pg_toast') AND n.nspname NOT LIKE 'pg_toast_temp%';

CREATE VIEW tw_is.tables AS
    SELECT current_database()::varchar AS table_catalog, schema_name::varchar AS table_schema, table_name::varchar,
        CASE WHEN relkind = 'v' THEN 'VIEW' WHEN temporary THEN 'LOCAL TEMPORARY' ELSE 'BASE TABLE' END::varchar AS table_type
    FROM tw_is.relations WHERE has_table_privilege(oid, 'SELECT, INSERT, UPDATE, DELETE');

CREATE VIEW tw_is.columns AS
    SELECT current_database()::varchar AS table_catalog, schema_name::varchar AS table_schema, table_name::varchar, column_name::varchar,
        ordinal AS ordinal_position, default_value::varchar AS column_default,
        CASE WHEN not_null THEN 'NO' ELSE 'YES' END::varchar AS is_nullable, type_name::varchar AS data_type,
        CASE WHEN type_name IN ('character varying', 'character', 'binary varying') THEN type_size END AS character_maximum_length,
        CASE type_name WHEN 'numeric' THEN type_size WHEN 'smallint' THEN 16 WHEN 'integer' THEN 32 WHEN 'bigint' THEN 64 WHEN 'real' THEN 24
            WHEN 'double precision' THEN 53 END AS numeric_precision,
        CASE type_name WHEN 'numeric' THEN 10 WHEN 'smallint' THEN 2 WHEN 'integer' THEN 2 WHEN 'bigint' THEN 2 WHEN 'real' THEN 2
            WHEN 'double precision' THEN 2 END AS numeric_precision_radix,
        CASE type_name WHEN 'numeric' THEN type_scale WHEN 'smallint' THEN 0 WHEN 'integer' THEN 0 WHEN 'bigint' THEN 0 END AS numeric_scale,
        CASE WHEN type_name LIKE 'time%' THEN 6 END AS datetime_precision
    FROM tw_is.all_columns WHERE has_table_privilege(oid, 'SELECT, INSERT, UPDATE, DELETE');

CREATE VIEW redshift.svv_columns AS SELECT *, NULL::varchar AS remarks FROM tw_is.columns;
CREATE VIEW redshift.svv_tables AS SELECT *, NULL::varchar AS remarks FROM tw_is.tables;
CREATE VIEW redshift.svv_all_columns AS
    SELECT table_catalog AS database_name, table_schema AS schema_name, table_name, column_name, ordinal_position, column_default, is_nullable,
        data_type, character_maximum_length, numeric_precision, numeric_scale, NULL::varchar AS remarks
    FROM tw_is.columns;
CREATE VIEW redshift.svv_redshift_columns AS
    SELECT current_database()::varchar AS database_name, schema_name::varchar, table_name::varchar, column_name::varchar, ordinal AS ordinal_position,
        tw_is.written(type_name, type_size, type_scale)::varchar AS data_type, default_value::varchar AS column_default,
        CASE WHEN not_null THEN 'NO' ELSE 'YES' END::varchar AS is_nullable, encoding::varchar, distkey, sortkey, NULL::varchar AS column_acl,
        NULL::varchar AS remarks
    FROM tw_is.all_columns;
CREATE VIEW redshift.svv_all_tables AS
    SELECT table_catalog AS database_name, table_schema AS schema_name, table_name, replace(table_type, 'BASE TABLE', 'TABLE')::varchar AS table_type,
        NULL::varchar AS remarks
    FROM tw_is.tables;
CREATE VIEW redshift.svv_redshift_tables AS SELECT *, NULL::varchar AS table_acl FROM redshift.svv_all_tables;
CREATE VIEW redshift.svv_redshift_schemas AS
    SELECT catalog_name AS database_name, schema_name, (SELECT usesysid::integer FROM pg_user WHERE usename = schema_owner) AS schema_owner,
        'local'::varchar AS schema_type, NULL::varchar AS schema_acl, NULL::varchar AS schema_option
    FROM tw_is.schemata;
CREATE VIEW redshift.svv_all_schemas AS
    SELECT database_name, schema_name, schema_owner, schema_type, schema_acl, NULL::varchar AS source_database, schema_option
    FROM redshift.svv_redshift_schemas;

-- Shows what is in the search path, and the path as the client set it.
CREATE VIEW redshift.pg_table_def AS
    SELECT schema_name::name AS schemaname, table_name::name AS tablename, column_name::name AS "column",
        tw_is.written(type_name, type_size, type_scale)::varchar AS type, encoding::varchar AS encoding, distkey, sortkey, not_null AS "notnull"
    FROM tw_is.all_columns WHERE relkind = 'r' AND pg_table_is_visible(oid);

CREATE VIEW redshift.svv_table_info AS
    SELECT current_database()::varchar AS database, r.schema_name::varchar AS schema, r.oid AS table_id, r.table_name::varchar AS "table",
        CASE WHEN coalesce(c.encoded, 0) > 0 THEN 'Y' ELSE 'N, AUTO(ENCODE)' END::varchar AS encoded,
        CASE r.about ->> 'diststyle' WHEN 'even' THEN 'EVEN' WHEN 'all' THEN 'ALL' WHEN 'key' THEN 'KEY(' || coalesce(c.distkey, '') || ')' ELSE 'AUTO(ALL)' END::varchar
            AS diststyle,
        coalesce(CASE WHEN r.about ->> 'sortkind' = 'interleaved' THEN 'INTERLEAVED' END, c.sortkey1, 'AUTO(SORTKEY)')::varchar AS sortkey1,
        c.max_varchar, coalesce(c.sortkey1_enc, '')::varchar AS sortkey1_enc, c.sortkey_num, (pg_table_size(r.oid) / 1048576 + 1)::bigint AS size,
        0::numeric(10,4) AS pct_used, 0::bigint AS empty, 0::numeric(5,2) AS unsorted, 0::numeric(5,2) AS stats_off, n.tbl_rows::numeric(38,0) AS tbl_rows,
        NULL::numeric(19,2) AS skew_sortkey1, NULL::numeric(19,2) AS skew_rows, n.tbl_rows::numeric(38,0) AS estimated_visible_rows,
        NULL::varchar AS risk_event, NULL::numeric(12,2) AS vacuum_sort_benefit, NULL::timestamp AS create_time
    FROM tw_is.relations r
    CROSS JOIN LATERAL (
        SELECT max(column_name) FILTER (WHERE distkey) AS distkey, max(column_name) FILTER (WHERE sortkey = 1) AS sortkey1,
            max(encoding) FILTER (WHERE sortkey = 1) AS sortkey1_enc, count(*) FILTER (WHERE sortkey > 0)::integer AS sortkey_num,
            coalesce(max(type_size) FILTER (WHERE type_name = 'character varying'), 0) AS max_varchar,
            count(*) FILTER (WHERE encoding <> 'none') AS encoded
        FROM tw_is.all_columns a WHERE a.oid = r.oid
    ) c
    CROSS JOIN LATERAL (SELECT tw_is.row_count(r.oid) AS tbl_rows) n
    WHERE r.relkind = 'r' AND n.tbl_rows > 0;

-- As in 8.0: no typcategory, no typarray.
CREATE VIEW redshift.pg_type AS
    SELECT oid, typname, typnamespace, typowner, typlen, typbyval, typtype, typisdefined, typdelim, typrelid, typelem, typinput, typoutput,
        typnotnull, typbasetype, typtypmod, typndims, typdefault
    FROM pg_catalog.pg_type;

CREATE VIEW redshift.stv_db_isolation_level AS
    SELECT current_database()::varchar AS db_name,
        CASE current_setting('default_transaction_isolation') WHEN 'serializable' THEN 'Serializable' ELSE 'Snapshot Isolation' END::varchar AS isolation_level;

-- What COPY could not load. Written by a session of its own, so that a rollback leaves it.
CREATE TABLE tw_log.load_errors (
    query_id bigint, transaction_id bigint, session_id integer, table_id oid, start_time timestamp DEFAULT statement_timestamp()::timestamp,
    table_name text, file_name text, line_number bigint, column_name text, column_type text, column_length text, error_code integer,
    error_message text
);
GRANT SELECT ON tw_log.load_errors TO PUBLIC;

-- CHAR columns come padded.
CREATE VIEW redshift.sys_load_error_detail AS
    SELECT 100 AS user_id, query_id, transaction_id, session_id, current_database()::char(64) AS database_name, table_id::integer AS table_id, start_time,
        left(file_name, 256)::char(256) AS file_name, line_number, left(column_name, 127)::char(127) AS column_name,
        left(column_type, 10)::char(10) AS column_type, left(column_length, 10)::char(10) AS column_length, 0 AS "position", error_code,
        left(error_message, 512)::char(512) AS error_message
    FROM tw_log.load_errors;
CREATE VIEW redshift.stl_load_errors AS
    SELECT 100 AS userid, 0 AS slice, table_id::integer AS tbl, start_time AS starttime, session_id AS session, query_id::integer AS query,
        left(file_name, 256)::char(256) AS filename, line_number, left(column_name, 127)::char(127) AS colname, left(column_type, 10)::char(10) AS type,
        left(column_length, 10)::char(10) AS col_length, 0 AS "position", ''::char(1024) AS raw_line, ''::char(1024) AS raw_field_value,
        error_code AS err_code, left(error_message, 100)::char(100) AS err_reason, 0 AS is_partial, 0::bigint AS start_offset
    FROM tw_log.load_errors;
CREATE VIEW redshift.svl_s3log AS
    SELECT session_id AS pid, query_id::integer AS query, 0 AS segment, 0 AS step, 0 AS node, 0 AS slice, start_time AS eventtime,
        left(error_message, 4096)::varchar AS message
    FROM tw_log.load_errors;

GRANT SELECT ON ALL TABLES IN SCHEMA redshift, tw_is TO PUBLIC;
