-- What Tailwater needs on a source: docs/permissions.md.
CREATE USER 'cdc'@'%' IDENTIFIED BY 'secret';
GRANT REPLICATION SLAVE, REPLICATION CLIENT, SELECT ON *.* TO 'cdc'@'%';
