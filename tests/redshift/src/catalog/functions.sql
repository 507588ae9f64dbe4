-- Functions of Redshift that PostgreSQL lacks or has otherwise. Every private database has them in the schema
-- `redshift`, which stands first in the search path.

CREATE SCHEMA redshift;
GRANT USAGE ON SCHEMA redshift TO PUBLIC;

-- Bytes of a text, cut on a character's boundary.
CREATE FUNCTION redshift.cut(value text, bytes integer) RETURNS text IMMUTABLE STRICT LANGUAGE plpgsql AS $$
DECLARE
    at integer := bytes;
    raw bytea;
BEGIN
    IF octet_length(value) <= bytes THEN
        RETURN value;
    END IF;
    raw := convert_to(value, 'UTF8');
    WHILE at > 0 AND (get_byte(raw, at) & 192) = 128 LOOP
        at := at - 1;
    END LOOP;
    RETURN convert_from(substring(raw FROM 1 FOR at), 'UTF8');
END $$;

-- CAST(… AS VARCHAR(n)) cuts without a word.
CREATE FUNCTION redshift.as_varchar(value text, bytes integer) RETURNS varchar IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE WHEN bytes IS NULL OR octet_length(value) <= bytes THEN value ELSE redshift.cut(value, bytes) END::varchar
$$;
CREATE FUNCTION redshift.as_varchar(value varchar, bytes integer) RETURNS varchar IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE WHEN bytes IS NULL OR octet_length(value) <= bytes THEN value ELSE redshift.cut(value, bytes) END::varchar
$$;
CREATE FUNCTION redshift.as_varchar(value boolean, bytes integer) RETURNS varchar IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'cannot cast type boolean to character varying' USING ERRCODE = '42846';
END $$;
CREATE FUNCTION redshift.as_varchar(value bytea, bytes integer) RETURNS varchar IMMUTABLE LANGUAGE sql AS $$
    SELECT redshift.as_varchar(convert_from(value, 'UTF8'), bytes)
$$;
CREATE FUNCTION redshift.as_varchar(value jsonb, bytes integer) RETURNS varchar IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF jsonb_typeof(value) IN ('object', 'array') THEN
        RAISE EXCEPTION 'cannot cast a SUPER object or array to character varying' USING ERRCODE = '42846';
    END IF;
    RETURN redshift.as_varchar(value #>> '{}', bytes);
END $$;
CREATE FUNCTION redshift.as_varchar(value anyelement, bytes integer) RETURNS varchar STABLE LANGUAGE sql AS $$
    SELECT redshift.as_varchar(value::text, bytes)
$$;

-- CAST(… AS SUPER): a text becomes a string, it is not parsed.
CREATE FUNCTION redshift.to_super(value text) RETURNS jsonb IMMUTABLE LANGUAGE sql AS $$ SELECT to_jsonb(value) $$;
CREATE FUNCTION redshift.to_super(value jsonb) RETURNS jsonb IMMUTABLE LANGUAGE sql AS $$ SELECT value $$;
CREATE FUNCTION redshift.to_super(value anyelement) RETURNS jsonb STABLE LANGUAGE plpgsql AS $$
BEGIN
    IF pg_typeof(value) IN ('date', 'timestamp', 'timestamptz', 'time', 'timetz', 'bytea') THEN
        RAISE EXCEPTION 'cannot cast type % to super', pg_typeof(value) USING ERRCODE = '42846';
    END IF;
    RETURN to_jsonb(value);
END $$;

-- CAST(… AS VARBYTE): the bytes of a text.
CREATE FUNCTION redshift.as_varbyte(value text, bytes integer DEFAULT NULL) RETURNS bytea IMMUTABLE LANGUAGE sql AS $$
    SELECT substring(convert_to(value, 'UTF8') FROM 1 FOR coalesce(bytes, 16777216))
$$;
CREATE FUNCTION redshift.as_varbyte(value bytea, bytes integer DEFAULT NULL) RETURNS bytea IMMUTABLE LANGUAGE sql AS $$
    SELECT substring(value FROM 1 FOR coalesce(bytes, 16777216))
$$;

-- JSON. A string in a SUPER has 65,535 bytes at most, and is cut only when the session asks for it.
CREATE FUNCTION redshift.fit_strings(value jsonb) RETURNS jsonb IMMUTABLE LANGUAGE plpgsql AS $$
DECLARE
    result jsonb;
BEGIN
    IF jsonb_typeof(value) = 'string' THEN
        RETURN to_jsonb(redshift.cut(value #>> '{}', 65535));
    ELSIF jsonb_typeof(value) = 'array' THEN
        SELECT coalesce(jsonb_agg(redshift.fit_strings(item) ORDER BY place), '[]') INTO result
            FROM jsonb_array_elements(value) WITH ORDINALITY AS items (item, place);
        RETURN result;
    ELSIF jsonb_typeof(value) = 'object' THEN
        SELECT coalesce(jsonb_object_agg(key, redshift.fit_strings(item)), '{}') INTO result FROM jsonb_each(value) AS pairs (key, item);
        RETURN result;
    END IF;
    RETURN value;
END $$;
CREATE FUNCTION redshift.json_parse(value text) RETURNS jsonb STABLE STRICT LANGUAGE plpgsql AS $$
DECLARE
    parsed jsonb := value::jsonb;
BEGIN
    IF octet_length(value) <= 65535 THEN
        RETURN parsed;
    END IF;
    IF octet_length(value) > 16777216 THEN
        RAISE EXCEPTION 'SUPER value exceeds the maximum size of 16777216 bytes' USING ERRCODE = 'XX000';
    END IF;
    IF current_setting('redshift.json_parse_truncate_strings', true) = 'on' THEN
        RETURN redshift.fit_strings(parsed);
    END IF;
    PERFORM 1 FROM jsonb_path_query(parsed, 'strict $.** ? (@.type() == "string")') AS strings (item)
        WHERE octet_length(item #>> '{}') > 65535;
    IF FOUND THEN
        RAISE EXCEPTION 'String value exceeds the max size of 65535 bytes' USING ERRCODE = 'XX000';
    END IF;
    RETURN parsed;
END $$;
CREATE FUNCTION redshift.json_parse(value varchar) RETURNS jsonb STABLE STRICT LANGUAGE sql AS $$ SELECT redshift.json_parse(value::text) $$;
CREATE FUNCTION redshift.json_parse(value bytea) RETURNS jsonb STABLE STRICT LANGUAGE sql AS $$
    SELECT redshift.json_parse(convert_from(value, 'UTF8'))
$$;
CREATE FUNCTION redshift.can_json_parse(value text) RETURNS boolean STABLE LANGUAGE plpgsql AS $$
BEGIN
    PERFORM redshift.json_parse(value);
    RETURN value IS NOT NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN false;
END $$;
CREATE FUNCTION redshift.can_json_parse(value bytea) RETURNS boolean STABLE LANGUAGE plpgsql AS $$
BEGIN
    PERFORM redshift.json_parse(value);
    RETURN value IS NOT NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN false;
END $$;
CREATE FUNCTION redshift.is_valid_json(value varchar) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_typeof(value::jsonb) = 'object';
EXCEPTION WHEN OTHERS THEN
    RETURN false;
END $$;
CREATE FUNCTION redshift.is_valid_json_array(value varchar) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_typeof(value::jsonb) = 'array';
EXCEPTION WHEN OTHERS THEN
    RETURN false;
END $$;
-- Without the blanks that PostgreSQL puts between elements.
CREATE FUNCTION redshift.json_serialize(value jsonb) RETURNS varchar IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT regexp_replace(value::text, '("(?:[^"\\]|\\.)*")|([:,]) ', '\1\2', 'g')::varchar
$$;
CREATE FUNCTION redshift.json_typeof(value jsonb) RETURNS varchar IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT jsonb_typeof(value)::varchar
$$;
CREATE FUNCTION redshift.json_size(value jsonb) RETURNS bigint IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT octet_length(redshift.json_serialize(value))::bigint
$$;
CREATE FUNCTION redshift.get_array_length(value jsonb) RETURNS integer IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT CASE WHEN jsonb_typeof(value) = 'array' THEN jsonb_array_length(value) END
$$;
CREATE FUNCTION redshift.is_object(value jsonb) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$ SELECT jsonb_typeof(value) = 'object' $$;
CREATE FUNCTION redshift.is_array(value jsonb) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$ SELECT jsonb_typeof(value) = 'array' $$;
CREATE FUNCTION redshift.is_varchar(value jsonb) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$ SELECT jsonb_typeof(value) = 'string' $$;
CREATE FUNCTION redshift.is_boolean(value jsonb) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$ SELECT jsonb_typeof(value) = 'boolean' $$;
CREATE FUNCTION redshift.is_bigint(value jsonb) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$
    SELECT jsonb_typeof(value) = 'number' AND value #>> '{}' ~ '^-?[0-9]+$'
$$;
CREATE FUNCTION redshift.json_extract_path_text(value varchar, VARIADIC path text[]) RETURNS varchar IMMUTABLE LANGUAGE sql AS $$
    SELECT (value::jsonb #>> path)::varchar
$$;
CREATE FUNCTION redshift.json_array_length(value varchar) RETURNS integer IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT jsonb_array_length(value::jsonb)
$$;

-- Bytes.
CREATE FUNCTION redshift.to_hex(value bytea) RETURNS varchar IMMUTABLE STRICT LANGUAGE sql AS $$ SELECT encode(value, 'hex')::varchar $$;
CREATE FUNCTION redshift.to_hex(value text) RETURNS varchar IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT encode(convert_to(value, 'UTF8'), 'hex')::varchar
$$;
-- Of a number, in as few digits as it takes; a negative one in those of its two's complement.
CREATE FUNCTION redshift.to_hex(value bigint) RETURNS varchar IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT pg_catalog.to_hex(value)::varchar
$$;
CREATE FUNCTION redshift.from_hex(value text) RETURNS bytea IMMUTABLE STRICT LANGUAGE sql AS $$ SELECT decode(value, 'hex') $$;
CREATE FUNCTION redshift.to_varbyte(value text, format text) RETURNS bytea IMMUTABLE STRICT LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE lower(format)
        WHEN 'hex' THEN decode(value, 'hex')
        WHEN 'base64' THEN decode(value, 'base64')
        WHEN 'utf8' THEN convert_to(value, 'UTF8')
        WHEN 'utf-8' THEN convert_to(value, 'UTF8')
    END;
END $$;
CREATE FUNCTION redshift.from_varbyte(value bytea, format text) RETURNS varchar IMMUTABLE STRICT LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE lower(format)
        WHEN 'hex' THEN encode(value, 'hex')
        WHEN 'base64' THEN translate(encode(value, 'base64'), E'\n', '')
        WHEN 'utf8' THEN convert_from(value, 'UTF8')
        WHEN 'utf-8' THEN convert_from(value, 'UTF8')
    END;
END $$;
CREATE FUNCTION redshift.sha1(value text) RETURNS varchar IMMUTABLE STRICT LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'SHA1 is not served by the stand-in' USING ERRCODE = '0A000';
END $$;
CREATE FUNCTION redshift.sha2(value text, bits integer) RETURNS varchar IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT encode(CASE bits
        WHEN 224 THEN sha224(convert_to(value, 'UTF8'))
        WHEN 384 THEN sha384(convert_to(value, 'UTF8'))
        WHEN 512 THEN sha512(convert_to(value, 'UTF8'))
        ELSE sha256(convert_to(value, 'UTF8'))
    END, 'hex')::varchar
$$;
-- Of bytes: not measured on a cluster.
CREATE FUNCTION redshift.sha2(value bytea, bits integer) RETURNS varchar IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT encode(CASE bits
        WHEN 224 THEN sha224(value)
        WHEN 384 THEN sha384(value)
        WHEN 512 THEN sha512(value)
        ELSE sha256(value)
    END, 'hex')::varchar
$$;
-- FNV-1a of 64 bits, as a signed number.
CREATE FUNCTION redshift.fnv_hash(value text) RETURNS bigint IMMUTABLE STRICT LANGUAGE plpgsql AS $$
DECLARE
    hash numeric := 14695981039346656037;
    low bigint;
    raw bytea := convert_to(value, 'UTF8');
BEGIN
    FOR at IN 0 .. octet_length(raw) - 1 LOOP
        low := mod(hash, 256)::bigint;
        hash := mod((hash - low + (low # get_byte(raw, at))) * 1099511628211, 18446744073709551616);
    END LOOP;
    RETURN CASE WHEN hash >= 9223372036854775808 THEN hash - 18446744073709551616 ELSE hash END;
END $$;
CREATE FUNCTION redshift.strtol(value text, base integer) RETURNS bigint IMMUTABLE STRICT LANGUAGE plpgsql AS $$
DECLARE
    result numeric := 0;
    digit integer;
BEGIN
    FOR at IN 1 .. length(value) LOOP
        digit := strpos('0123456789abcdefghijklmnopqrstuvwxyz', lower(substr(value, at, 1))) - 1;
        IF digit < 0 OR digit >= base THEN
            RAISE EXCEPTION 'The input % is not valid to be converted to base %', value, base USING ERRCODE = '22023';
        END IF;
        result := result * base + digit;
    END LOOP;
    RETURN result;
END $$;

-- Text.
CREATE FUNCTION redshift.len(value text) RETURNS integer IMMUTABLE STRICT LANGUAGE sql AS $$ SELECT char_length(value) $$;
CREATE FUNCTION redshift.len(value bytea) RETURNS integer IMMUTABLE STRICT LANGUAGE sql AS $$ SELECT octet_length(value) $$;
CREATE FUNCTION redshift.charindex(part text, value text) RETURNS integer IMMUTABLE STRICT LANGUAGE sql AS $$ SELECT strpos(value, part) $$;
CREATE FUNCTION redshift.replicate(value text, times integer) RETURNS text IMMUTABLE STRICT LANGUAGE sql AS $$ SELECT repeat(value, times) $$;
CREATE FUNCTION redshift.regexp_replace(value text, pattern text, by_what text) RETURNS text IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT pg_catalog.regexp_replace(value, pattern, by_what, 'g')
$$;
CREATE FUNCTION redshift.regexp_count(value text, pattern text) RETURNS integer IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT pg_catalog.regexp_count(value, pattern)
$$;
CREATE FUNCTION redshift.round(value double precision, digits integer) RETURNS double precision IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT pg_catalog.round(value::numeric, digits)::double precision
$$;

-- Time.
CREATE FUNCTION redshift.getdate() RETURNS timestamp STABLE LANGUAGE sql AS $$
    SELECT date_trunc('second', statement_timestamp()::timestamp)
$$;
CREATE FUNCTION redshift.sysdate() RETURNS timestamp STABLE LANGUAGE sql AS $$ SELECT transaction_timestamp()::timestamp $$;
CREATE FUNCTION redshift.part(part text) RETURNS text IMMUTABLE STRICT LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE
        WHEN lower(part) IN ('y', 'yr', 'yrs', 'year', 'years') THEN 'year'
        WHEN lower(part) IN ('qtr', 'qtrs', 'quarter', 'quarters') THEN 'quarter'
        WHEN lower(part) IN ('mon', 'mons', 'month', 'months') THEN 'month'
        WHEN lower(part) IN ('w', 'week', 'weeks') THEN 'week'
        WHEN lower(part) IN ('d', 'day', 'days', 'dayofyear') THEN 'day'
        WHEN lower(part) IN ('h', 'hr', 'hrs', 'hour', 'hours') THEN 'hour'
        WHEN lower(part) IN ('m', 'min', 'mins', 'minute', 'minutes') THEN 'minute'
        WHEN lower(part) IN ('s', 'sec', 'secs', 'second', 'seconds') THEN 'second'
        WHEN lower(part) IN ('ms', 'msec', 'msecs', 'msecond', 'mseconds', 'millisec', 'millisecs', 'millisecon', 'millisecond', 'milliseconds')
            THEN 'millisecond'
        WHEN lower(part) IN ('us', 'usec', 'usecs', 'usecond', 'useconds', 'microsec', 'microsecs', 'microsecond', 'microseconds')
            THEN 'microsecond'
        ELSE lower(part)
    END;
END $$;
CREATE FUNCTION redshift.dateadd(part text, count bigint, at timestamp) RETURNS timestamp IMMUTABLE STRICT LANGUAGE plpgsql AS $$
BEGIN
    IF redshift.part(part) = 'quarter' THEN
        RETURN at + make_interval(months => 3 * count::integer);
    END IF;
    RETURN at + (count || ' ' || redshift.part(part))::interval;
EXCEPTION WHEN invalid_datetime_format THEN
    RAISE EXCEPTION 'timestamp units "%" not recognized', part USING ERRCODE = '22023';
END $$;
CREATE FUNCTION redshift.dateadd(part text, count bigint, at date) RETURNS timestamp IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT redshift.dateadd(part, count, at::timestamp)
$$;
CREATE FUNCTION redshift.dateadd(part text, count bigint, at timestamptz) RETURNS timestamptz STABLE STRICT LANGUAGE sql AS $$
    SELECT redshift.dateadd(part, count, at::timestamp)::timestamptz
$$;
-- Boundaries crossed, not whole units.
CREATE FUNCTION redshift.datediff(part text, from_when timestamp, to_when timestamp) RETURNS bigint IMMUTABLE STRICT LANGUAGE plpgsql AS $$
DECLARE
    unit text := redshift.part(part);
    a timestamp;
    b timestamp;
    months bigint;
BEGIN
    IF unit = 'microsecond' THEN
        RETURN round(extract(epoch FROM to_when - from_when) * 1000000);
    ELSIF unit = 'epoch' THEN
        unit := 'second';
    END IF;
    a := date_trunc(unit, from_when);
    b := date_trunc(unit, to_when);
    months := (extract(year FROM b) - extract(year FROM a)) * 12 + extract(month FROM b) - extract(month FROM a);
    RETURN CASE unit
        WHEN 'year' THEN months / 12
        WHEN 'quarter' THEN months / 3
        WHEN 'month' THEN months
        WHEN 'week' THEN extract(epoch FROM b - a) / 604800
        WHEN 'day' THEN extract(epoch FROM b - a) / 86400
        WHEN 'hour' THEN extract(epoch FROM b - a) / 3600
        WHEN 'minute' THEN extract(epoch FROM b - a) / 60
        WHEN 'second' THEN extract(epoch FROM b - a)
        WHEN 'millisecond' THEN extract(epoch FROM b - a) * 1000
    END;
END $$;
CREATE FUNCTION redshift.datediff(part text, from_when timestamptz, to_when timestamptz) RETURNS bigint STABLE STRICT LANGUAGE sql AS $$
    SELECT redshift.datediff(part, from_when::timestamp, to_when::timestamp)
$$;
CREATE FUNCTION redshift.trunc(at timestamp) RETURNS date IMMUTABLE STRICT LANGUAGE sql AS $$ SELECT at::date $$;
CREATE FUNCTION redshift.last_day(at timestamp) RETURNS date IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT (date_trunc('month', at) + interval '1 month - 1 day')::date
$$;
CREATE FUNCTION redshift.add_months(at timestamp, months integer) RETURNS timestamp IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT at + make_interval(months => months)
$$;
CREATE FUNCTION redshift.convert_timezone(target text, at timestamp) RETURNS timestamp IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT at AT TIME ZONE 'UTC' AT TIME ZONE target
$$;
CREATE FUNCTION redshift.convert_timezone(source text, target text, at timestamp) RETURNS timestamp IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT at AT TIME ZONE source AT TIME ZONE target
$$;
