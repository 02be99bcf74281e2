-- Entries that were stored row by row become blocks. The record says the same after it; nothing is dropped.
ALTER TABLE stageapp_normalizationlog DISABLE TRIGGER append_only;
ALTER TABLE stageapp_batch DISABLE TRIGGER append_only;

CREATE TEMPORARY TABLE entries_by_row ON COMMIT DROP AS
SELECT id, batch_id, row_key, old, new FROM stageapp_normalizationlog;
DELETE FROM stageapp_normalizationlog;

INSERT INTO stageapp_normalizationlog (batch_id, row_key, old, new, keys, uuids)
SELECT batch_id, '', old, new,
       array_agg(row_key::bigint ORDER BY row_key::bigint) FILTER (WHERE row_key ~ '^-?[0-9]+$'),
       array_agg(row_key::uuid ORDER BY row_key::uuid) FILTER (WHERE row_key !~ '^-?[0-9]+$')
  FROM entries_by_row GROUP BY batch_id, old, new ORDER BY min(id);

UPDATE stageapp_batch b SET places = r.places
  FROM (SELECT batch_id, int8range(min(place), max(place), '[]') AS places
          FROM (SELECT batch_id, CASE WHEN row_key ~ '^-?[0-9]+$' THEN stageapp_place(row_key::bigint)
                                      ELSE stageapp_place(row_key::uuid) END AS place FROM entries_by_row) AS e
         GROUP BY batch_id) AS r
 WHERE r.batch_id = b.id;

-- A rollback's batch undid one forward batch, and named it by its number.
UPDATE stageapp_batch b SET undoes_id = f.id, round = 1
  FROM stageapp_batch f
 WHERE b.direction = 'rollback' AND f.run_id = b.run_id AND f.direction = 'forward' AND f.number::text = b.last_key;
UPDATE stageapp_checkpoint c SET round = 1, position = coalesce((
       SELECT f.id::text FROM stageapp_batch f
        WHERE f.run_id = c.run_id AND f.direction = 'forward' AND f.number::text = c.position), '')
 WHERE c.direction = 'rollback';
INSERT INTO stageapp_rollbackplan (run_id, round, scope, from_state, rows, actor, reason, created_at)
SELECT m.run_id, 1, '{}', m.old_state, (SELECT coalesce(sum(changed), 0) FROM stageapp_batch b
        WHERE b.run_id = m.run_id AND b.direction = 'forward'), m.actor, m.reason, m.created_at
  FROM stageapp_runmove m WHERE m.new_state = 'rolling_back'
   AND m.id = (SELECT min(id) FROM stageapp_runmove WHERE run_id = m.run_id AND new_state = 'rolling_back');

ALTER TABLE stageapp_planentry DISABLE TRIGGER append_only;
UPDATE stageapp_planentry SET stored = stage WHERE stage <> '';
ALTER TABLE stageapp_planentry ENABLE TRIGGER append_only;

SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE stageapp_normalizationlog ENABLE TRIGGER append_only;
ALTER TABLE stageapp_batch ENABLE TRIGGER append_only;
