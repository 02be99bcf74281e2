-- A verdict on a backup stays as it was found.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_backupcheck
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
