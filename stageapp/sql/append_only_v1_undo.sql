-- The trigger function goes, and every trigger that uses it goes with it.
DROP FUNCTION stageapp_refuse_change() CASCADE;
