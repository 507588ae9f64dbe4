-- A small shop, the same on every shard. Numbers of orders are unique across shards because they are UUIDs; customers count from 1
-- on each of them, and the warehouse tells them apart by their origin.
USE shop;

CREATE TABLE customers (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name       VARCHAR(200) NOT NULL,
  updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)
);

CREATE TABLE orders (
  id         BINARY(16) NOT NULL PRIMARY KEY,
  customer   BIGINT UNSIGNED NOT NULL,
  state      ENUM('new', 'paid', 'sent') NOT NULL DEFAULT 'new',
  total      DECIMAL(12, 2) NOT NULL,
  extra      JSON,
  updated_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)
);

INSERT INTO customers (name) VALUES ('Ada'), ('Grace'), ('Barbara'), ('Edith');

-- A little life: some orders every five seconds, and some of them paid.
DELIMITER //
CREATE EVENT live ON SCHEDULE EVERY 5 SECOND DO
BEGIN
  INSERT INTO orders (id, customer, total, extra)
    SELECT UUID_TO_BIN(UUID()), id, ROUND(RAND() * 100, 2), JSON_OBJECT('from', 'event') FROM customers;
  UPDATE orders SET state = 'paid' WHERE state = 'new' ORDER BY updated_at LIMIT 2;
  DELETE FROM orders WHERE updated_at < NOW() - INTERVAL 1 DAY LIMIT 1000;
END
//
DELIMITER ;
