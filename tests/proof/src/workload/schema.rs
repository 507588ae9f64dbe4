//! The tables of the shop. They are the same on every shard; ids of two shards collide on purpose.

use crate::compare::Table;

/// The database of all tables.
pub const DATABASE: &str = "shop";

/// Creates the tables. `parcels` has ids that are unique over all shards, because its rows move.
pub(super) const CREATE: &str = "
CREATE DATABASE shop DEFAULT CHARACTER SET utf8mb4;
CREATE TABLE shop.customers (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(80) NOT NULL,
  email VARCHAR(120),
  balance DECIMAL(14,4) NOT NULL DEFAULT 0,
  tier ENUM('basic','silver','gold') NOT NULL DEFAULT 'basic',
  born DATE,
  created_at DATETIME(3) NOT NULL
);
CREATE TABLE shop.orders (
  id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  customer_id BIGINT UNSIGNED,
  status ENUM('new','paid','shipped','returned') NOT NULL,
  tags SET('gift','express','fragile') NOT NULL,
  total DECIMAL(12,2) NOT NULL,
  tax DECIMAL(9,4),
  factor DECIMAL(38,10),
  pieces TINYINT UNSIGNED NOT NULL,
  delta SMALLINT,
  area MEDIUMINT UNSIGNED,
  weight DOUBLE,
  ratio FLOAT,
  is_paid TINYINT(1) NOT NULL,
  is_gift BIT(1),
  name VARCHAR(120) NOT NULL,
  code CHAR(10) CHARACTER SET latin1,
  note TEXT,
  attributes JSON,
  photo BLOB,
  token BINARY(8),
  ship_date DATE,
  ship_time TIME(3),
  model YEAR,
  created_at DATETIME(6) NOT NULL,
  updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  gross DECIMAL(14,2) GENERATED ALWAYS AS (total + pieces) STORED
);
CREATE TABLE shop.items (
  order_id BIGINT UNSIGNED NOT NULL,
  line SMALLINT UNSIGNED NOT NULL,
  sku VARCHAR(24) NOT NULL,
  quantity INT NOT NULL,
  price DECIMAL(10,2) NOT NULL,
  PRIMARY KEY (order_id, line)
);
CREATE TABLE shop.stock (
  depot CHAR(4) NOT NULL,
  sku VARCHAR(24) NOT NULL,
  amount INT NOT NULL,
  counted_at DATETIME,
  PRIMARY KEY (depot, sku)
);
CREATE TABLE shop.parcels (
  id BIGINT NOT NULL PRIMARY KEY,
  owner VARCHAR(60) NOT NULL,
  grams INT UNSIGNED NOT NULL,
  updated_at DATETIME(6) NOT NULL
);
CREATE TABLE shop.events (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  kind VARCHAR(20) NOT NULL,
  at TIMESTAMP(3) NOT NULL
);
CREATE TABLE shop.pulse (
  id BIGINT NOT NULL PRIMARY KEY,
  at DATETIME(6) NOT NULL
);
";

/// What the load changes half way: two columns whose defaults rows written before must show.
pub(super) const ALTER: &str = "ALTER TABLE shop.orders \
    ADD COLUMN priority SMALLINT NOT NULL DEFAULT 3, ADD COLUMN channel VARCHAR(12) DEFAULT 'web'";

/// Empties the table that nothing refers to.
pub(super) const TRUNCATE: &str = "TRUNCATE TABLE shop.events";

/// The tables as the comparison wants them. With `global_parcels` the pipeline is configured with
/// `key = "global"` for `shop.parcels`.
#[must_use]
pub fn tables(global_parcels: bool) -> Vec<Table> {
    ["customers", "orders", "items", "stock", "parcels", "events", "pulse"]
        .map(|name| Table {
            database: DATABASE.to_owned(),
            name: name.to_owned(),
            global_key: global_parcels && name == "parcels",
        })
        .into()
}
