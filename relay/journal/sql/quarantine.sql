-- name: list
SELECT entry_id, source, kind, reason, received_at_ms, fetch_id, length(raw), origin, refused, done_at_ms
FROM quarantine CROSS JOIN streams ON streams.id = entry_id >> 44
WHERE entry_id > ?1 AND (?2 IS NULL OR source = ?2) AND (?3 IS NULL OR kind = ?3)
    AND (?4 = '' OR instr(lower(reason), lower(?4)) > 0) AND (?5 OR done_at_ms IS NULL)
ORDER BY entry_id LIMIT ?6;

-- name: one
SELECT entry_id, source, kind, reason, received_at_ms, fetch_id, length(raw), origin, refused, done_at_ms
FROM quarantine CROSS JOIN streams ON streams.id = entry_id >> 44
WHERE entry_id = ?1;

-- name: bytes
SELECT raw FROM quarantine WHERE entry_id = ?1;

-- name: still
UPDATE quarantine SET reason = ?2 WHERE entry_id = ?1;

-- name: done
UPDATE quarantine SET done_at_ms = ?2 WHERE entry_id = ?1;

-- name: drop
DELETE FROM quarantine WHERE entry_id = ?1 RETURNING done_at_ms IS NULL;

-- name: count_out
UPDATE streams SET quarantine_entries = quarantine_entries - 1 WHERE id = ?1;
