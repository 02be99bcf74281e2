-- What was delivered stays as it came; only what its retention has passed may go (stageapp.prune).
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON stageapp_webhookdelivery
    FOR EACH ROW EXECUTE FUNCTION stageapp_refuse_change();
