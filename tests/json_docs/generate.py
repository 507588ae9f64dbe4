#!/usr/bin/env python3
"""Writes pairs of (binary JSON document, text printed by the server) taken from a running MySQL.

Each document is inserted into a table; its binary form is read from the row event in the binary
log, its text from SELECT. Some rows are then changed in place, which leaves holes in the binary
form. Needs pymysql and the right to read the binary log files.

    generate.py --socket S --datadir D OUT                the fixture (tests/data/json_docs.bin)
    generate.py --socket S --datadir D --random N OUT     N generated documents, for a long run:
        TAILWATER_JSON_DOCS=OUT cargo test --lib decode::json

OUT: for each pair u32 length and bytes of the document, u32 length and bytes of the text, little
endian.
"""

import argparse
import json
import os
import random
import struct

import pymysql

WRITE_ROWS, UPDATE_ROWS, TABLE_MAP = 30, 31, 19


def row_images(path, table):
    """The last JSON image of each row (id INT, doc JSON) of `table` in one binary log file."""
    data = open(path, "rb").read()
    at, tables, docs = 4, {}, {}
    while at + 19 <= len(data):
        kind, size = data[at + 4], struct.unpack_from("<I", data, at + 9)[0]
        body = data[at + 19 : at + size - 4]
        at += size
        if kind == TABLE_MAP:
            schema_len = body[8]
            name = body[8 + 1 + schema_len + 1 :]
            tables[body[:6]] = name[1 : 1 + name[0]].decode()
        elif kind in (WRITE_ROWS, UPDATE_ROWS) and tables.get(body[:6]) == table:
            pos = 8 + struct.unpack_from("<H", body, 8)[0]
            assert body[pos] == 2, "two columns"
            pos += 1 + (1 if kind == WRITE_ROWS else 2)
            while pos < len(body):
                for _ in range(1 if kind == WRITE_ROWS else 2):
                    nulls = body[pos]
                    row, pos = struct.unpack_from("<I", body, pos + 1)[0], pos + 5
                    if nulls & 2:
                        docs.pop(row, None)
                        continue
                    length = struct.unpack_from("<I", body, pos)[0]
                    docs[row] = body[pos + 4 : pos + 4 + length]
                    pos += 4 + length
    return docs


def lit(value):
    """A document given as a value, or as JSON text."""
    return quoted(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def quoted(text):
    text = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"CAST('{text}' AS JSON)"


NUMBERS = """0 -0 1 -1 127 -128 255 32767 32768 -32768 -32769 65535 65536 2147483647 2147483648 -2147483648
-2147483649 4294967295 4294967296 9223372036854775807 9223372036854775808 18446744073709551615
18446744073709551616 -9223372036854775808 -9223372036854775809 0.0 -0.0 1.0 -1.0 0.1 0.5 1e20 1e-7 0.0000001
1.2345678901234568e20 3e15 1e14 1e15 1e16 1e17 123456789012345.0 1234567890123456.0 1234567890123456.7
12345678901234567.0 123456789012345680.0 999999999999999.9 9999999999999998.0 99999999999999.98 9007199254740991.0
9007199254740993.0 1e-13 1e-14 1e-15 1e-16 1.5e-14 1.2345678901234567e-14 1.2345678901234567e-15
1.2345678901234567e-16 0.00012345678901234567 5e-324 4.9e-324 2.2250738585072014e-308 2.225073858507201e-308
1.7976931348623157e308 -1.7976931348623157e308 3.141592653589793 2.718281828459045e100 1e22 1e23 1e21 1e-5
100.25 5.684341886080802e-14 1.1754943508222875e-38 3.4028234663852886e38 0.3 0.30000000000000004
2e0 20e0 200.0e1 4.35 1e308 1e-308 1e-323 1.5e-323 12e-320""".split()

SQL = """JSON_ARRAY(x'ff', _binary 'ab', _binary '')
JSON_ARRAY(REPEAT(_binary 'abc', 19))
JSON_ARRAY(REPEAT(_binary 'abc', 40), REPEAT(_binary 'x', 58))
JSON_ARRAY(REPEAT(_binary 'abc', 38))
JSON_OBJECT('bits', b'101', 'char', CAST('q' AS BINARY(4)))
JSON_ARRAY(CAST('a' AS BINARY), CAST(_binary x'0001fe' AS JSON))
CAST(_binary 'top' AS JSON)
CAST(CAST(1 AS DECIMAL(10,3)) AS JSON)
JSON_ARRAY(-1.50, .5, -0.5, 0.000, 1., 10., 123456789.123456789, 1234567890.1234567891, -99999999999999999999.99)
JSON_ARRAY(CAST(-0.00 AS DECIMAL(5,2)), CAST(0 AS DECIMAL(65,30)), CAST(-1 AS DECIMAL(1,0)))
JSON_ARRAY(CAST(REPEAT('9', 65) AS DECIMAL(65,0)), CAST(CONCAT('-', REPEAT('9', 65)) AS DECIMAL(65,0)))
JSON_ARRAY(CAST(CONCAT('-0.', REPEAT('9', 30)) AS DECIMAL(30,30)), CAST(-1e-9 AS DECIMAL(9,9)))
JSON_ARRAY(CAST('100000000000000000000.000000001' AS DECIMAL(40,9)), CAST('1000000000' AS DECIMAL(19,0)))
JSON_ARRAY(CAST('12345678901.000000000000000000000000000001' AS DECIMAL(65,30)))
JSON_ARRAY(TIME'-838:59:59', TIME'838:59:59', TIME'00:00:00', TIME'01:02:03.5', TIME'-00:00:00.000001', TIME'-01:02:03')
JSON_ARRAY(CAST('100:00:00.999999' AS TIME(6)), CAST('-99:59:59.999999' AS TIME(6)))
JSON_ARRAY(DATE'2024-01-02', DATE'9999-12-31', DATE'1000-01-01', DATE'0001-01-01')
JSON_ARRAY(CAST('2024-01-02 03:04:05.5' AS DATETIME(3)), TIMESTAMP'2024-01-02 03:04:05', CAST('9999-12-31 23:59:59.999999' AS DATETIME(6)))
CAST(DATE'2024-01-02' AS JSON)
CAST(TIME'12:00:00' AS JSON)
CAST(TIMESTAMP'2024-02-29 23:59:59.000001' AS JSON)
JSON_ARRAY(DATE'0000-00-00', DATE'2024-00-15', DATE'2024-02-00', TIMESTAMP'0000-00-00 00:00:00')
JSON_OBJECT('t', CAST(FROM_UNIXTIME(0) AS DATETIME), 'y', YEAR(NOW()) * 0)
JSON_ARRAY(CAST(1.1 AS FLOAT), CAST(16777216 AS FLOAT), 1e0/3e0)
CAST(TRUE AS JSON)
CAST(NULL AS JSON)
JSON_ARRAY(TRUE, FALSE, NULL, 1 = 1)
CAST('null' AS JSON)
JSON_QUOTE('quoted')
CAST(ST_GeomFromText('POINT(1 2)') AS JSON)
JSON_ARRAY(CONVERT('\\u00e9' USING latin1), _latin1 x'e9', _gbk x'b0a1')
JSON_OBJECT(_utf8mb4 x'00', 1, _utf8mb4 x'7f', 2, '', 3)""".splitlines()


def nested(depth, array):
    return "[" * depth + "]" * depth if array else '{"a":' * depth + "1" + "}" * depth


def fixed_documents():
    docs = [lit(n) for n in NUMBERS] + [lit(f"[{n}, {n}]") for n in NUMBERS[::3]] + SQL
    docs += [lit(f'{{"n": {n}}}') for n in NUMBERS[1::4]]
    control = "".join(f"\\u{c:04x}" for c in range(0x20))
    texts = ["", "a", "/", "\\/", '\\"', "\\\\", "'", control, "\\u007f\\u0080\\u2028\\u2029", "\\ud83d\\ude00", "é漢字😀",
             "x" * 127, "x" * 128, "y" * 255, "\\n" * 300, "tail\\u001f", "\\u0000", "<>&", "a\\tb\\rc\\fd\\be"]
    docs += [lit(f'"{t}"') for t in texts]
    docs += [lit(f'{{"{t}": "{t}"}}') for t in texts]
    docs += [lit('"' + "z" * 16384 + '"')]
    docs += [lit(t) for t in ["{}", "[]", "[[]]", "[{}]", '{"a": {}}', '{"a": []}', "[[], {}, [[]]]"]]
    docs += [lit(nested(d, a)) for d in (2, 50, 99, 100) for a in (True, False)]
    docs += [lit({"b": 1, "aa": 2, "a": 3, "": 4, "ab": 5, "é": 6, "B": 7}), lit('{"a": 1, "a": 2}')]
    docs += [lit([1, -1, 40000, 70000, -70000, 2**40, 2**63, 1.5, "s", True, None, {"k": [1]}])]
    # Large form: over 64 KiB, with 32-bit integers held in the entries and small ones inside.
    filler = "f" * 66000
    scalars = {"i": 70000, "u": 3000000000, "n": -70000, "s": 5, "t": True, "z": None, "d": 1.5, "l": 2**40}
    inner = [filler, 70000, -70000, 3000000000, 5, -5, False, 1.5, "s", {"k": [1, 70000]}, 2**40]
    docs += [lit(scalars | {"outer": {"inner": inner, "n": -1}, "small": {"a": [1, "x"], "o": {}}})]
    docs += [lit([7] * 22000)]
    return docs


UPDATES = [
    ("JSON_OBJECT('a', REPEAT('x', 40), 'b', 5, 'c', JSON_ARRAY(1, 2, REPEAT('q', 30)))", [
        "JSON_SET(doc, '$.a', 'y')", "JSON_REPLACE(doc, '$.c[2]', 'short')", "JSON_SET(doc, '$.b', TRUE)"]),
    ("JSON_ARRAY(REPEAT('x', 40), 3, JSON_OBJECT('k', REPEAT('v', 20)))", [
        "JSON_SET(doc, '$[0]', 1)", "JSON_REMOVE(doc, '$[1]')", "JSON_REPLACE(doc, '$[1].k', 'w')"]),
    ("JSON_OBJECT('aa', 1, 'bb', REPEAT('z', 30), 'cc', 3)", ["JSON_REMOVE(doc, '$.bb')", "JSON_SET(doc, '$.aa', 2)"]),
    ("JSON_OBJECT('a', JSON_OBJECT('b', REPEAT('m', 50)))", ["JSON_SET(doc, '$.a.b', 1e0)", "JSON_SET(doc, '$.a.b', JSON_ARRAY())"]),
]


def random_double(rng):
    pick = rng.randrange(6)
    if pick == 0:
        bits = rng.getrandbits(63)
        return struct.unpack("<d", struct.pack("<Q", bits if bits >> 52 != 0x7FF else 0))[0] * rng.choice((1, -1))
    if pick == 1:
        return float(f"{rng.randrange(10 ** rng.randrange(1, 18))}e{rng.randrange(-40, 40)}")
    if pick == 2:
        return rng.uniform(-1, 1) * 10 ** rng.randrange(-20, 22)
    if pick == 3:
        return 2.0 ** rng.randrange(-1074, 1024)
    if pick == 4:
        return struct.unpack("<d", struct.pack("<Q", rng.getrandbits(rng.randrange(1, 53))))[0]
    return float(rng.randrange(-(2**60), 2**60)) / 2 ** rng.randrange(0, 20)


def random_string(rng):
    pools = ("abcdefghij", 'a"\\/\b\f\n\r\t\x00\x1f\x7f', "é漢字😀\u2028", "a")
    return "".join(rng.choice(rng.choice(pools)) for _ in range(int(rng.expovariate(0.1))))


def random_value(rng, depth):
    pick = rng.randrange(12 if depth else 9)
    if pick < 3:
        return random_double(rng)
    if pick < 5:
        return rng.randrange(-(2 ** rng.randrange(1, 64)), 2 ** rng.randrange(1, 65))
    if pick < 7:
        return random_string(rng)
    if pick < 9:
        return rng.choice((True, False, None, [], {}))
    if pick < 10:
        return [random_value(rng, depth - 1) for _ in range(rng.randrange(8))]
    return {random_string(rng): random_value(rng, depth - 1) for _ in range(rng.randrange(8))}


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--socket", required=True)
    args.add_argument("--datadir", required=True)
    args.add_argument("--random", type=int, default=0)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("out")
    args = args.parse_args()

    connection = pymysql.connect(unix_socket=args.socket, user="root", charset="utf8mb4", autocommit=True)
    cursor = connection.cursor()
    run = cursor.execute
    run("SET sql_mode = '', binlog_row_value_options = '', binlog_transaction_compression = OFF")
    run("CREATE DATABASE IF NOT EXISTS json_docs")
    run("USE json_docs")
    run("DROP TABLE IF EXISTS docs")
    run("CREATE TABLE docs (id INT PRIMARY KEY, doc JSON)")
    run("FLUSH BINARY LOGS")
    run("SHOW BINARY LOG STATUS")
    log = cursor.fetchone()[0]

    if args.random:
        rng = random.Random(args.seed)
        docs = [quoted(json.dumps(random_value(rng, 4), ensure_ascii=False)) for _ in range(args.random)]
    else:
        docs = fixed_documents()
    for first in range(0, len(docs), 50):
        rows = ", ".join(f"({first + i}, {doc})" for i, doc in enumerate(docs[first : first + 50]))
        run(f"INSERT INTO docs VALUES {rows}")
    if not args.random:
        for i, (doc, changes) in enumerate(UPDATES * 2):
            row = len(docs) + i
            run(f"INSERT INTO docs VALUES ({row}, {doc})")
            for change in changes[: len(changes) if i < len(UPDATES) else 1]:
                run(f"UPDATE docs SET doc = {change} WHERE id = {row}")

    images = row_images(os.path.join(args.datadir, log), "docs")
    run("SELECT id, doc FROM docs WHERE doc IS NOT NULL ORDER BY id")
    pairs = [(images.pop(row), text.encode()) for row, text in cursor.fetchall()]
    assert not images, "every image has a row"
    if not args.random:
        pairs.append((b"", b"null"))
    with open(args.out, "wb") as out:
        for doc, text in pairs:
            out.write(struct.pack("<I", len(doc)) + doc + struct.pack("<I", len(text)) + text)
    print(f"{len(pairs)} documents, {sum(len(d) for d, _ in pairs)} bytes")
    run("DROP DATABASE json_docs")


if __name__ == "__main__":
    main()
