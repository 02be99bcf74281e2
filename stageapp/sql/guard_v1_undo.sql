-- Without their tables neither seals nor guards could be told or taken off: they go too, from every table.
DO $$
DECLARE
    made record;
BEGIN
    FOR made IN SELECT c.conrelid::regclass AS owner, c.conname FROM pg_constraint c
                 WHERE c.contype = 'c' AND c.conname ~ '^stageapp_seal_[0-9a-f]{8}_[0-9]+$' AND c.conislocal LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', made.owner, made.conname);
    END LOOP;
    FOR made IN SELECT p.oid::regprocedure AS signature FROM pg_proc p WHERE p.proname ~ '^stageapp_guard_[0-9a-f]{8}$' LOOP
        EXECUTE format('DROP FUNCTION %s CASCADE', made.signature);
    END LOOP;
END
$$;
DROP FUNCTION stageapp_guard_failed_v1(text, text, text);
DROP FUNCTION stageapp_guard_count_v1(text, text, text, text);
DROP FUNCTION stageapp_guard_meaning_v1(text, text);
