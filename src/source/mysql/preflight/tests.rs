use super::*;

#[test]
fn version_numbers_come_first() {
    assert_eq!(numbers("9.7.4"), (9, 7, 4));
    assert_eq!(numbers("8.0.39-0ubuntu0.22.04.1"), (8, 0, 39));
    assert_eq!(numbers("10.11.6-MariaDB-0+deb12u1-log"), (10, 11, 6));
    assert_eq!(numbers("x"), (0, 0, 0));
}

#[test]
fn gateways_are_known_by_their_version() {
    assert!(settings::is_gateway("8.0.30-Vitess", "Version: 19.0.4"));
    assert!(settings::is_gateway("8.0.23", "PlanetScale"));
    assert!(!settings::is_gateway("9.7.4", "(Debian)"));
}
