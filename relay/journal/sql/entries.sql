-- name: append
INSERT INTO entries (id, origin, received_at_ms, type, message_id, revision, status_group, previous_seq, value)

-- name: append_row
(?1+{n},?2,?3,?,?,?,?,?,?)

-- name: adopt
INSERT OR IGNORE INTO entries
    (id, type, message_id, revision, origin, received_at_ms, status_group, previous_seq, value)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: move
UPDATE entries SET id = ?2 WHERE id = ?1 RETURNING previous_seq;

-- name: link
UPDATE entries SET previous_seq = ?2 WHERE id = ?1;

-- name: move_quarantined
UPDATE quarantine SET entry_id = ?2 WHERE entry_id = ?1;

-- name: pass_over
UPDATE entries SET refused = 1 WHERE id = ?1;

-- name: heads_after
SELECT json_group_array(json_array(id, type, message_id, revision, origin, received_at_ms, status_group, refused, size))
FROM (
    SELECT id, type, message_id, revision, origin, received_at_ms, status_group, refused, length(value) AS size
    FROM entries WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3
);

-- name: values_between
SELECT CAST(group_concat(value, '') AS BLOB)
FROM (SELECT value FROM entries WHERE id >= ?1 AND id <= ?2 ORDER BY id);

-- name: heads_of
SELECT json_group_array(json_array(id, type, message_id, revision, origin, received_at_ms, status_group, refused, size))
FROM (
    SELECT id, type, message_id, revision, origin, received_at_ms, status_group, refused, length(entries.value) AS size
    FROM carray(?1) AS wanted CROSS JOIN entries ON entries.id = wanted.value
);

-- name: values_of
SELECT CAST(group_concat(entries.value, '') AS BLOB)
FROM carray(?1) AS wanted CROSS JOIN entries ON entries.id = wanted.value;

-- name: set_next_seq
UPDATE streams SET next_seq = ?2, quarantine_entries = quarantine_entries + ?3 WHERE id = ?1;

-- name: refuse
UPDATE entries SET refused = 1 WHERE id = ?1 AND refused = 0 RETURNING type, message_id, revision, status_group, origin, received_at_ms, value;

-- name: quarantine
INSERT OR IGNORE INTO quarantine (entry_id, reason, received_at_ms, fetch_id, origin, refused, raw)
VALUES (?, ?, ?, ?, ?, ?, ?);
