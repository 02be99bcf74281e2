-- What a role was once given is not given again: the record of it stays.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_rolegrant
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
