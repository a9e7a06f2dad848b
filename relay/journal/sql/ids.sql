-- name: logged
SELECT id, keys, known, seen_at_hours FROM ids_log ORDER BY id;

-- name: look_up
SELECT json_group_array(json_array(wanted.rowid, outcomes, revision, last_seq))
FROM carray(?1) AS wanted CROSS JOIN ids ON ids.key = wanted.value;

-- name: lap
SELECT next_id, position, began_at_id, taken_to_id, length FROM ids_lap;

-- name: set_lap
UPDATE ids_lap SET next_id = ?1, position = ?2, began_at_id = ?3, taken_to_id = ?4;

-- name: set_length
UPDATE ids_lap SET length = ?1 WHERE length <> ?1;

-- name: log
INSERT INTO ids_log (id, keys, known, seen_at_hours) VALUES (?1, ?2, ?3, ?4);

-- name: index
INSERT OR REPLACE INTO ids (key, outcomes, revision, last_seq, seen_at_hours)

-- name: index_row
(?,?,?,?,?)

-- name: trim
DELETE FROM ids_log WHERE id IN (SELECT id FROM ids_log WHERE id < ?1 ORDER BY id LIMIT 2);

-- name: forget
DELETE FROM ids_log WHERE seen_at_hours < ?1;

-- name: indexed
SELECT outcomes, revision, last_seq, seen_at_hours FROM ids WHERE key = ?1;
