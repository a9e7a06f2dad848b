-- name: add
INSERT INTO tallies (stream_id, bucket, type, status_group, count)

-- name: add_row
(?1,?,?,?,?)

-- name: add_tail
ON CONFLICT DO UPDATE SET count = count + excluded.count

-- name: sum
SELECT coalesce(sum(count), 0) FROM tallies
WHERE stream_id = ?1 AND bucket > ?2 AND type IN (SELECT value FROM carray(?3))
    AND (?4 OR status_group IN (SELECT value FROM carray(?5)));

-- name: count
SELECT count(*) FROM entries
WHERE id > ?1 AND id < ?2 AND type IN (SELECT value FROM carray(?3))
    AND (?4 OR status_group IN (SELECT value FROM carray(?5)));

-- name: prune
DELETE FROM tallies WHERE stream_id = ?1 AND bucket < ?2;
