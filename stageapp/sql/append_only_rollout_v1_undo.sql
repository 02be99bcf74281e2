-- The triggers go; their function stays for the other tables.
DROP TRIGGER append_only ON stageapp_warnperiod;
DROP TRIGGER append_only ON stageapp_consumeraudit;
DROP TRIGGER append_only ON stageapp_consumerpin;
