-- Append-only tables: a row, once written, stays as it is. Only a session that has set stageapp.prune to 'on'
-- (the prune command does, inside its own transaction) may delete, and nobody may update.
CREATE FUNCTION stageapp_refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('stageapp.prune', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% on % is refused: the table is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              HINT = 'Write a new row instead; old ones are the record.';
END;
$$;

-- What people decided, what was proved and what was done, table by table; queues, counts and states change.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'rolegrant', 'vocabularyversion', 'assumptionchange',                              -- who may do what; what is known
        'modechange', 'warnperiod', 'consumeraudit', 'consumerpin', 'webhookdelivery',     -- the rollout
        'plan', 'planentry', 'runmove', 'rollbackplan', 'workerdrain', 'runthrottle',      -- runs
        'batch', 'normalizationlog', 'quarantinedrow',                                     -- what runs did
        'targetwrite', 'verification', 'seal', 'guardchange', 'backupcheck'                -- proofs
    ] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I '
                       'FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change()', 'stageapp_' || name);
    END LOOP;
END
$$;
