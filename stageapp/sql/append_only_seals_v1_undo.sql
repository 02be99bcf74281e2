-- The triggers go; their function stays for the other tables.
DROP TRIGGER append_only ON stageapp_seal;
DROP TRIGGER append_only ON stageapp_guardchange;
