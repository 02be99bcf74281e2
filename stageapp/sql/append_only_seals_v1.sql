-- What people did with seals and guards stays as it was done.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_seal
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_guardchange
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
