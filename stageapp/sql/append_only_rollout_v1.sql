-- What people have stated about the rollout stays as it was stated.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_warnperiod
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_consumeraudit
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_consumerpin
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
