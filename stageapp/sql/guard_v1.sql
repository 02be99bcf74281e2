-- What the triggers of every guard share. They run with the rights of the owner, so that a writer that knows nothing
-- of these tables needs no right on them; nobody else may call them.

CREATE FUNCTION stageapp_guard_meaning_v1(raw text, source text) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
AS $$
BEGIN
    -- Raises here, where it is caught without harm, if what counts the conversion below could not be written.
    PERFORM g.target, g.at, g.raw, g.stage, g.writer, g.problem FROM stageapp_guardconversion g LIMIT 0;
    RETURN normalize_stage(raw, source);
END
$$;

CREATE FUNCTION stageapp_guard_count_v1(target text, raw text, stage text, problem text) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER
AS $$
    INSERT INTO stageapp_guardconversion (target, at, raw, stage, writer, problem)
    VALUES (target, clock_timestamp(), left(raw, 200), stage, session_user, left(problem, 100))
$$;

CREATE FUNCTION stageapp_guard_failed_v1(target text, raw text, problem text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
AS $$
BEGIN
    PERFORM stageapp_guard_count_v1(target, raw, '', problem);
EXCEPTION WHEN OTHERS THEN
    RAISE LOG 'the guard of % left a value as it was: %', target, problem;
END
$$;

-- Whoever writes, and with whatever search_path: the tables beside which the functions were made, no temporary ones.
DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY['stageapp_guard_meaning_v1(text, text)', 'stageapp_guard_count_v1(text, text, text, text)',
                                     'stageapp_guard_failed_v1(text, text, text)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', signature, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
    END LOOP;
END
$$;
