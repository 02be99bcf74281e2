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

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_modechange
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_vocabularyversion
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_plan
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_planentry
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_runmove
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_batch
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_normalizationlog
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
