-- name: keep
INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2);

-- name: forget
DELETE FROM meta WHERE name = ?1;

-- name: kept
SELECT name, value FROM meta WHERE name >= 'paused/' AND name < 'paused0';
