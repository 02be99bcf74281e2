-- What was assumed of a stage, by whom and why, stays as it was recorded.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_assumptionchange
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
