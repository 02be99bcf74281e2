-- Who changed a run's limits, and why, stays as it was written.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_runthrottle
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
