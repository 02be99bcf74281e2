DO $$
BEGIN
    IF EXISTS (SELECT FROM stageapp_normalizationlog) THEN
        RAISE EXCEPTION 'The audit log holds blocks, which the older release cannot read'
            USING HINT = 'Restore the backup of before the upgrade instead; the log is never thrown away.';
    END IF;
END;
$$;
