#!/usr/bin/env python3
"""Writes src/decode/charset/tables/*.bin from what a running MySQL converts. Needs pymysql.

    generate.py --socket S FOLDER

Single-byte set: 256 code units (u16 little endian), 0xFFFF where the server has no character.

Multi-byte set: the same 256 units for the first byte alone (0xFFFF also where the byte is not a character alone); then
one plane for two-byte codes and, for the EUC sets, one for what follows the byte 0x8F. A plane: 32 bytes, bit n set =
lead byte n; 32 bytes, bit n set = trail byte n; for each lead byte 0x80..0xFF the first trail byte of its row and the
number of units in it (0 = none); the units of all rows. Row edges without a character are left out; whether a pair
without a character is one the server steps over whole is told by the two bit sets. 0xFFFE: no character, stepped over
whole, though the bit sets do not say so.

gb18030: after the planes, ranges of four-byte codes as u16 pairs (index of the first code, its code point), then the
end index as a pair with 0.
"""

import argparse
import struct

import pymysql

SINGLE = """armscii8 cp1250 cp1251 cp1256 cp1257 cp850 cp852 cp866 dec8 geostd8 greek hebrew hp8 keybcs2 koi8r koi8u
latin1 latin2 latin5 latin7 macce macroman swe7 tis620""".split()
MULTI = "big5 cp932 eucjpms euckr gb18030 gb2312 gbk sjis ujis".split()
NONE, WHOLE = 0xFFFF, 0xFFFE
HIGH = range(0x80, 0x100)


class Server:
    def __init__(self, socket):
        connection = pymysql.connect(unix_socket=socket, user="root", charset="utf8mb4", autocommit=True)
        self.cursor = connection.cursor()
        self.cursor.execute("CREATE DATABASE IF NOT EXISTS charset_codes")
        self.cursor.execute("USE charset_codes")
        self.cursor.execute("SET max_error_count = 0")

    def convert(self, charset, codes):
        """For each code its UTF-8, or None where the server calls it malformed."""
        self.cursor.execute("CREATE TEMPORARY TABLE codes (id INT PRIMARY KEY, code VARBINARY(8))")
        for first in range(0, len(codes), 20000):
            rows = ",".join(f"({first + i},x'{c.hex()}')" for i, c in enumerate(codes[first : first + 20000]))
            self.cursor.execute("INSERT INTO codes VALUES " + rows)
        self.cursor.execute(f"SELECT HEX(CONVERT(CONVERT(code USING {charset}) USING utf8mb4)) FROM codes ORDER BY id")
        answers = [None if text is None else bytes.fromhex(text) for (text,) in self.cursor.fetchall()]
        self.cursor.execute("DROP TEMPORARY TABLE codes")
        assert len(answers) == len(codes)
        return answers


def unit(code, answer, malformed):
    # Nothing at all: the set lets a lead byte without its trail byte pass as well-formed.
    if not answer:
        return malformed
    text = answer.decode()
    if text == "?" and code != b"?":
        return WHOLE if malformed == NONE and len(code) > 1 else NONE
    if len(text) > 1:
        assert text[0] == "?", (code, text)
        return malformed
    assert ord(text) < WHOLE, (code, text)
    return ord(text)


def singles(server, charset):
    codes = [bytes([n]) for n in range(256)]
    return [unit(c, a, NONE) for c, a in zip(codes, server.convert(charset, codes))]


def plane(server, charset, prefix, leads):
    pairs = [(lead, trail) for lead in leads for trail in range(256)]
    codes = [prefix + bytes(pair) for pair in pairs]
    units = dict(zip(pairs, (unit(c, a, NONE) for c, a in zip(codes, server.convert(charset, codes)))))
    # Lead bytes whose pairs are whole for a set of trail bytes common to most of them.
    whole = {lead: frozenset(t for t in range(256) if units[lead, t] != NONE) for lead in leads}
    common = max(set(whole.values()), key=list(whole.values()).count)
    regular = {lead for lead in leads if whole[lead] == common}

    def bits(numbers):
        return sum(1 << n for n in numbers).to_bytes(32, "little")

    header, rows = b"", b""
    for lead in HIGH:
        row = []
        if lead in leads:
            row = [units[lead, t] for t in range(256)]
            if lead in regular:
                row = [NONE if u == WHOLE else u for u in row]
        kept = [t for t in range(len(row)) if row[t] != NONE]
        first, count = (kept[0], kept[-1] - kept[0] + 1) if kept else (0, 0)
        header += bytes([first, count])
        rows += b"".join(struct.pack("<H", u) for u in row[first : first + count])
    return bits(regular) + bits(common) + header + struct.pack("<H", len(rows) // 2) + rows


def four_byte(index):
    index, d = divmod(index, 10)
    index, c = divmod(index, 126)
    a, b = divmod(index, 10)
    return bytes([0x81 + a, 0x30 + b, 0x81 + c, 0x30 + d])


BMP_END = 39420  # 8431A439 is the last four-byte code of the basic plane


def four_byte_ranges(server):
    codes = [four_byte(i) for i in range(BMP_END + 10)]
    points = [ord(a.decode()) for a in server.convert("gb18030", codes)]
    ranges, previous = [], None
    for index, point in enumerate(points):
        if previous is None or point != previous + (previous != ord("?")):
            ranges.append((index, point))
        previous = point
    assert ranges[-1] == (BMP_END, ord("?")), "ends without a character"
    assert all(point != ord("?") for _, point in ranges[:-1])
    out = b"".join(struct.pack("<HH", *r) for r in ranges[:-1])
    return struct.pack("<H", len(ranges)) + out + struct.pack("<HH", ranges[-1][0], 0)


def write_tables(server, folder):
    total = 0
    for charset in SINGLE + MULTI:
        units = singles(server, charset)
        table = struct.pack("<256H", *units)
        if charset in MULTI:
            leads = [n for n in HIGH if units[n] == NONE]
            three = charset in ("ujis", "eucjpms")
            table += plane(server, charset, b"", [n for n in leads if not (three and n == 0x8F)])
            if three:
                table += plane(server, charset, b"\x8f", leads)
            if charset == "gb18030":
                table += four_byte_ranges(server)
        with open(f"{folder}/{charset}.bin", "wb") as out:
            out.write(table)
        total += len(table)
        print(charset, len(table))
    print(total, "bytes")


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--socket", required=True)
    args.add_argument("folder")
    args = args.parse_args()
    write_tables(Server(args.socket), args.folder)


if __name__ == "__main__":
    main()
