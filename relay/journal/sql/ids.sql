-- name: fresh
CREATE TEMP TABLE fresh_ids (
    key BLOB NOT NULL PRIMARY KEY,
    outcomes TEXT NOT NULL,
    revision INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    seen_at_hours INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- name: remember
INSERT OR REPLACE INTO temp.fresh_ids (key, outcomes, revision, last_seq, seen_at_hours)
SELECT key, outcomes, revision, last_seq, seen_at_hours FROM ids_log WHERE id >= ?1 OR key >= ?2 ORDER BY id;

-- name: look_up
SELECT json_group_array(json_array(n, outcomes, revision, last_seq)) FROM (
    SELECT wanted.rowid AS n, outcomes, revision, last_seq
    FROM carray(?1) AS wanted CROSS JOIN ids ON ids.key = wanted.value
    UNION ALL
    SELECT wanted.rowid, outcomes, revision, last_seq
    FROM carray(?1) AS wanted CROSS JOIN temp.fresh_ids AS fresh ON fresh.key = wanted.value
);

-- name: lap
SELECT next_id, position, began_at_id, taken_to_id, length FROM ids_lap;

-- name: set_length
UPDATE ids_lap SET length = ?1 WHERE length <> ?1;

-- name: set_lap
UPDATE ids_lap SET next_id = ?1, position = ?2, began_at_id = ?3, taken_to_id = ?4;

-- name: keep
INSERT INTO ids_log (id, seen_at_hours, key, outcomes, revision, last_seq)

-- name: keep_row
(?1+{n},?2,?,?,?,?)

-- name: keep_fresh
INSERT OR REPLACE INTO temp.fresh_ids (key, outcomes, revision, last_seq, seen_at_hours)
SELECT key, outcomes, revision, last_seq, seen_at_hours FROM ids_log WHERE id >= ?1;

-- name: take_in
INSERT OR REPLACE INTO ids (key, outcomes, revision, last_seq, seen_at_hours)
SELECT key, outcomes, revision, last_seq, seen_at_hours FROM temp.fresh_ids WHERE key >= ?1 AND key < ?2;

-- name: drop_fresh
DELETE FROM temp.fresh_ids WHERE key >= ?1 AND key < ?2;

-- name: trim
DELETE FROM ids_log WHERE id < min(?1, (SELECT min(id) FROM ids_log) + ?2);

-- name: newest
SELECT revision, last_seq, seen_at_hours FROM (
    SELECT id, revision, last_seq, seen_at_hours FROM ids_log WHERE key = ?1
    UNION ALL
    SELECT 0, revision, last_seq, seen_at_hours FROM ids WHERE key = ?1
) ORDER BY id DESC LIMIT 1;
