-- The rows' own triggers go with their tables.
DROP VIEW stageapp_auditentry;
DROP FUNCTION stageapp_place(bigint);
DROP FUNCTION stageapp_place(uuid);
DROP TRIGGER append_only ON stageapp_rollbackplan;
DROP TRIGGER append_only ON stageapp_workerdrain;
DROP TRIGGER append_only ON stageapp_quarantinedrow;
