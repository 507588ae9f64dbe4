//! Reading real MySQL and MariaDB servers.

mod check;
mod faults;
mod gtids;
mod mariadb;
mod reading;
mod transactions;
