-- What was proved of a column, and what changed it since, stays as it was found.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_verification
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_targetwrite
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
