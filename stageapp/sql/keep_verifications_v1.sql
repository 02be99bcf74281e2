-- What a run said of its verification is kept as the first entry of its history. What it was compared with is not
-- known: version 0 and no batch, so that it proves nothing of today's rows.
INSERT INTO stageapp_verification (run_id, by_run, actor, reason, started_at, ended_at, vocabulary_version, options,
                                   last_batch, batches, writes, ok, found)
SELECT id, true, actor, 'kept from the run itself', coalesce(finished_at, created_at),
       coalesce(finished_at, created_at), 0, '{}', 0, 0, 0, coalesce((verification ->> 'ok')::boolean, false), verification
  FROM stageapp_run WHERE verification IS NOT NULL ORDER BY id;
SET CONSTRAINTS ALL IMMEDIATE;
