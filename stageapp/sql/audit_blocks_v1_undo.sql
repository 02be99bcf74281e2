DROP VIEW stageapp_auditentry;
DROP FUNCTION stageapp_place(bigint);
DROP FUNCTION stageapp_place(uuid);
