-- The trigger goes; its function stays for the other tables.
DROP TRIGGER append_only ON stageapp_assumptionchange;
