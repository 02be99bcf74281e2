-- The triggers go; their function stays for the other tables.
DROP TRIGGER append_only ON stageapp_verification;
DROP TRIGGER append_only ON stageapp_targetwrite;
