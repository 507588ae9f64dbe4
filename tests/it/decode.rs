//! What the decoder makes of a real server's binlog, against what SELECT answers.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
};

use anyhow::{Context, Result, bail, ensure};
use arrow::{
    array::{Array, AsArray},
    datatypes::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    },
};
use serde::Deserialize;
use tailwater::{
    decode::{Chunk, ChunkBuilder, Declared, Note, Plan, Policies, RowTime},
    model::{ColumnType, Op, Seq},
    source::mysql::{
        rows::{RowsEvent, RowsKind},
        table_map::{Flavor, GENERATED_PRIMARY_KEY, TableMap},
    },
};
use tailwater_servers::{Mysql, MysqlOptions};

const TABLE_MAP: u8 = 19;
const HEADER: usize = 19;
const CHECKSUM: usize = 4;

/// Everything the binlog files of a server say about the tables of one database.
struct Binlog {
    chunks: HashMap<String, Chunk>,
    maps: HashMap<String, TableMap>,
}

/// Decodes the server's binlog files, read as files: no replication protocol, nothing but the events.
fn binlog(server: &Mysql, database: &str, declared: &dyn Fn(&str) -> Declared) -> Result<Binlog> {
    let mut files: Vec<_> = fs::read_dir(server.datadir())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e.as_encoded_bytes().iter().all(u8::is_ascii_digit)))
        .collect();
    files.sort();
    ensure!(!files.is_empty(), "no binlog files");
    let mut plans: BTreeMap<String, (Vec<u8>, Plan, ChunkBuilder)> = BTreeMap::new();
    let (mut names, mut maps, mut seq) = (HashMap::new(), HashMap::new(), Seq(1));
    for file in files {
        let bytes = fs::read(&file)?;
        let mut rest = bytes.get(4..).context("binlog without magic")?;
        while let Some((header, _)) = rest.split_at_checked(HEADER) {
            let size = u32::from_le_bytes(header[9..13].try_into()?) as usize;
            let (event, next) = rest.split_at_checked(size).context("event cut short")?;
            rest = next;
            let body = &event[HEADER..size - CHECKSUM];
            let kind = event[4];
            if kind == TABLE_MAP {
                let (db, table) = TableMap::names(&body[6..])?;
                if db != database {
                    continue;
                }
                let map = TableMap::parse(&body[6..], Flavor::MySql)?;
                names.insert(body[..6].to_vec(), table.to_owned());
                if plans.get(table).is_none_or(|(shape, ..)| shape != &body[6..]) {
                    let plan = Plan::compile(&map, &declared(table), &Policies::default())?;
                    let chunk = ChunkBuilder::new(plan.schema());
                    ensure!(!plans.contains_key(table), "{table} changed its shape");
                    plans.insert(table.to_owned(), (body[6..].to_vec(), plan, chunk));
                }
                maps.insert(table.to_owned(), map);
            } else if RowsKind::of(kind).is_some() {
                let Some(table) = names.get(&body[..6]) else { continue };
                let (_, plan, chunk) = plans.get_mut(table).context("rows without a plan")?;
                let mut rows = plan.rows(RowsEvent::parse(kind, body)?)?;
                while rows.next_into(chunk, &mut seq, RowTime { committed_at_us: 0 })? {}
            }
        }
    }
    let chunks = plans.into_iter().map(|(table, (_, _, mut chunk))| (table, chunk.finish())).collect();
    Ok(Binlog { chunks, maps })
}

#[derive(Deserialize)]
struct Types {
    #[serde(rename = "type")]
    types: Vec<Type>,
}

#[derive(Deserialize)]
struct Type {
    mysql: String,
    #[serde(default)]
    boolean: bool,
    neutral: String,
    arrow: String,
    parquet: String,
    extremes: Vec<String>,
}

fn types() -> Result<Vec<Type>> {
    Ok(toml::from_str::<Types>(include_str!("../../schemas/types.toml"))?.types)
}

/// The expression that asks the server for an exact, unambiguous text.
fn asked(ty: &Type) -> &'static str {
    match ty.neutral.split('(').next().unwrap_or_default() {
        "text" | "json" => "HEX(CONVERT(CAST(c AS CHAR) USING utf8mb4))",
        "binary" => "HEX(c)",
        // FLOAT prints six digits unless it is computed with.
        "float32" => "c + 0e0",
        _ if ty.mysql.starts_with("BIT") => "CAST(c AS UNSIGNED)",
        "boolean" => "c <> 0",
        _ => "c",
    }
}

/// Days since the epoch as a date, by walking back from the inverse of the calendar.
fn date_text(days: i64) -> String {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

fn instant_text(micros: i64, fraction: usize) -> String {
    let (seconds, micros) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let mut text = format!("{} {:02}:{:02}:{:02}", date_text(days), second / 3600, second / 60 % 60, second % 60);
    if fraction > 0 {
        text.push('.');
        text.push_str(&format!("{micros:06}")[..fraction]);
    }
    text
}

fn decimal_text(unscaled: i128, scale: usize) -> String {
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}

/// A decoded value as the server would print it for [`asked`].
fn printed(array: &dyn Array, row: usize, ty: ColumnType, fraction: usize) -> String {
    if array.is_null(row) {
        return "NULL".to_owned();
    }
    match ty {
        ColumnType::Boolean => u8::from(array.as_boolean().value(row)).to_string(),
        ColumnType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        ColumnType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        ColumnType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        ColumnType::Float32 => f64::from(array.as_primitive::<Float32Type>().value(row)).to_string(),
        ColumnType::Float64 => array.as_primitive::<Float64Type>().value(row).to_string(),
        ColumnType::Decimal { scale, .. } => {
            decimal_text(array.as_primitive::<Decimal128Type>().value(row), usize::from(scale))
        }
        ColumnType::Date => date_text(array.as_primitive::<Date32Type>().value(row).into()),
        ColumnType::Timestamp | ColumnType::TimestampTz => {
            instant_text(array.as_primitive::<TimestampMicrosecondType>().value(row), fraction)
        }
        ColumnType::Text { .. } | ColumnType::Json => hex(array.as_string::<i32>().value(row).as_bytes()),
        ColumnType::Binary { .. } => hex(array.as_binary::<i32>().value(row)),
    }
}

/// What the server's answer becomes by our rules.
fn expected(ty: &Type, answer: &str) -> Result<String> {
    let date = matches!(ty.neutral.as_str(), "date" | "timestamp" | "timestamptz");
    if date && (answer.starts_with("0000") || answer.contains("-00")) {
        return Ok("NULL".to_owned());
    }
    if answer != "NULL" && ty.neutral.starts_with("float") {
        return Ok(answer.parse::<f64>()?.to_string());
    }
    // YEAR 0 is printed with four digits.
    Ok(if answer == "0000" { "0".to_owned() } else { answer.to_owned() })
}

#[test]
fn every_type_is_what_select_answers() -> Result<()> {
    let server = Mysql::start(MysqlOptions::default())?;
    let types = types()?;
    let mut setup = "SET NAMES utf8mb4; SET time_zone = '+00:00'; SET sql_mode = '';\n\
                     CREATE DATABASE types DEFAULT CHARACTER SET utf8mb4; USE types;\n"
        .to_owned();
    let mut questions = "SET NAMES utf8mb4; SET time_zone = '+00:00'; USE types;\n".to_owned();
    for (index, ty) in types.iter().enumerate() {
        setup += &format!("CREATE TABLE t{index} (id INT PRIMARY KEY, c {} NULL);\n", ty.mysql);
        for (id, value) in ty.extremes.iter().map(String::as_str).chain(["NULL"]).enumerate() {
            setup += &format!("INSERT INTO t{index} VALUES ({id}, {value});\n");
        }
        questions += &format!("SELECT {index}, id, {} FROM t{index} ORDER BY id;\n", asked(ty));
    }
    server.sql(&setup)?;
    let booleans = |table: &str| {
        let boolean = types.iter().enumerate().any(|(i, ty)| ty.boolean && table == format!("t{i}"));
        Declared { booleans: boolean.then(|| "c".to_owned()).into_iter().collect(), ..Declared::default() }
    };
    let binlog = binlog(&server, "types", &booleans)?;
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for line in server.query(&questions)? {
        let mut fields = line.splitn(3, '\t');
        let (Some(index), Some(id), Some(answer)) = (fields.next(), fields.next(), fields.next()) else {
            bail!("a line of the server has less than three fields");
        };
        let (ty, row) = (&types[index.parse::<usize>()?], id.parse::<usize>()?);
        let chunk = binlog.chunks.get(&format!("t{index}")).with_context(|| format!("no rows of {}", ty.mysql))?;
        let fraction = ty.mysql.split_once('(').map_or(Ok(0), |(_, digits)| digits.trim_end_matches(')').parse());
        let got = printed(&chunk.columns[1], row, chunk.schema.columns[1].ty, fraction.unwrap_or(0));
        let want = expected(ty, answer)?;
        if got != want {
            let short = |text: &str| text.chars().take(80).collect::<String>();
            wrong.push(format!("{} row {row}: decoded {}, selected {}", ty.mysql, short(&got), short(&want)));
        }
        compared += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(compared, types.iter().map(|ty| ty.extremes.len() + 1).sum::<usize>());
    // The wire form in the table is what the server sends.
    for (index, ty) in types.iter().enumerate() {
        let schema = &binlog.chunks[&format!("t{index}")].schema;
        assert_eq!(schema.columns[1].ty.arrow().to_string(), ty.arrow, "{}", ty.mysql);
    }
    let dates = types.iter().position(|ty| ty.mysql == "DATE").context("no DATE")?;
    let notes = &binlog.chunks[&format!("t{dates}")].notes;
    assert_eq!((notes.count(1, Note::ZeroDate), notes.count(1, Note::PartialDate)), (1, 2));
    Ok(())
}

#[test]
fn tables_of_every_shape_describe_themselves() -> Result<()> {
    let server = Mysql::start(MysqlOptions::default())?;
    server.sql(
        "CREATE DATABASE shapes; USE shapes;
         CREATE TABLE plain (b INT, a VARCHAR(20), v INT, g INT AS (v * 2), s INT AS (v * 3) STORED,
             h INT INVISIBLE DEFAULT 7, u MEDIUMINT UNSIGNED, y YEAR, d DECIMAL(30, 2) UNSIGNED,
             INDEX ((v + 1)), PRIMARY KEY (a, b));
         INSERT INTO plain (b, a, v, u, y, d) VALUES (1, 'x', 10, 16777215, 2024, 1.5), (2, 'y', 11, 1, 1999, 2);
         UPDATE plain SET v = 12 WHERE b = 1;
         UPDATE plain SET a = 'Y' WHERE b = 2;
         DELETE FROM plain WHERE b = 1;
         SET SESSION sql_generate_invisible_primary_key = ON;
         CREATE TABLE keyless (v INT);
         INSERT INTO keyless VALUES (5);
         CREATE TABLE prefixed (t TEXT, PRIMARY KEY (t(10)));
         INSERT INTO prefixed VALUES ('abc');",
    )?;
    let binlog = binlog(&server, "shapes", &|_| Declared::default())?;
    let plain = &binlog.chunks["plain"];
    let names: Vec<_> = plain.schema.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["b", "a", "v", "g", "s", "h", "u", "y", "d"]);
    assert_eq!(plain.schema.key().iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let ops = [Op::Insert, Op::Insert, Op::Update, Op::Delete, Op::Insert, Op::Delete];
    assert_eq!((plain.op.as_slice(), plain.seq.as_slice()), (&ops[..], &[1, 2, 3, 4, 5, 6][..]));
    let ints = |column: usize| plain.columns[column].as_primitive::<Int32Type>().values().to_vec();
    assert_eq!((ints(3), ints(4)), (vec![20, 22, 24, 22, 22, 24], vec![30, 33, 36, 33, 33, 36]));
    assert_eq!((ints(5), ints(6)[0]), (vec![7; 6], 16_777_215));
    let keys: Vec<_> = plain.columns[1].as_string::<i32>().iter().flatten().collect();
    assert_eq!(keys, ["x", "y", "x", "y", "Y", "x"]);
    assert!(!binlog.maps["plain"].columns[5].visible && binlog.maps["plain"].columns[4].visible);

    let keyless = &binlog.chunks["keyless"];
    assert_eq!(keyless.schema.key().iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["my_row_id"]);
    assert_ne!(binlog.maps["keyless"].flags & GENERATED_PRIMARY_KEY, 0);
    assert_eq!(binlog.maps["prefixed"].primary_key[0].prefix, 10);
    Ok(())
}

#[test]
fn the_table_of_types_names_the_parquet_types() -> Result<()> {
    use arrow::datatypes::{Field, Schema};
    use tailwater::model::{Column, TableSchema};

    let mut wrong = Vec::new();
    for ty in types()? {
        let neutral = neutral(&ty.neutral)?;
        let column = Column { name: "c".into(), ty: neutral, nullable: true, key: None, source: ty.mysql.clone() };
        let schema = TableSchema { columns: vec![column] }.arrow();
        let field: Field = schema.field_with_name("c")?.clone();
        let parquet = parquet::arrow::ArrowSchemaConverter::new().convert(&Schema::new(vec![field]))?;
        let mut text = Vec::new();
        parquet::schema::printer::print_schema(&mut text, parquet.column(0).self_type());
        let text = String::from_utf8(text)?;
        // "OPTIONAL INT64 c (TIMESTAMP(MICROS,false));" without the column's name and the outer brackets.
        let text = text.trim().trim_start_matches("OPTIONAL ").trim_end_matches(';').replace("ARRAY (", "ARRAY(");
        let text = match text.split_once(" c (") {
            Some((physical, logical)) => format!("{physical} {}", logical.strip_suffix(')').unwrap_or(logical)),
            None => text.trim_end_matches(" c").to_owned(),
        };
        if text != ty.parquet {
            wrong.push(format!("{}: {text:?}, not {:?}", ty.mysql, ty.parquet));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

/// The neutral type that the table spells.
fn neutral(text: &str) -> Result<ColumnType> {
    let (name, arguments) = match text.trim_end_matches(')').split_once('(') {
        Some((name, arguments)) => (name, arguments.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>()?),
        None => (text, Vec::new()),
    };
    let bytes_max = arguments.first().copied();
    Ok(match (name, arguments.as_slice()) {
        ("boolean", _) => ColumnType::Boolean,
        ("int16", _) => ColumnType::Int16,
        ("int32", _) => ColumnType::Int32,
        ("int64", _) => ColumnType::Int64,
        ("float32", _) => ColumnType::Float32,
        ("float64", _) => ColumnType::Float64,
        ("decimal", [p, s]) => ColumnType::Decimal { precision: u8::try_from(*p)?, scale: u8::try_from(*s)? },
        ("date", _) => ColumnType::Date,
        ("timestamp", _) => ColumnType::Timestamp,
        ("timestamptz", _) => ColumnType::TimestampTz,
        ("text", _) => ColumnType::Text { bytes_max },
        ("json", _) => ColumnType::Json,
        ("binary", _) => ColumnType::Binary { bytes_max },
        _ => bail!("{text:?} is no neutral type"),
    })
}
