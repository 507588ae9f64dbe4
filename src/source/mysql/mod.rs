//! MySQL and MariaDB as sources.

pub mod cursor;
pub mod rows;
pub mod table_map;
