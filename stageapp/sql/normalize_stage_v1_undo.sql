DROP FUNCTION normalize_stage(text, text);
DROP FUNCTION explain_stage(text, text);
DROP FUNCTION stage_translate_v1(text);
DROP FUNCTION stage_key_v1(text);
DROP FUNCTION stage_fold_v1(text);
DROP FUNCTION stage_squeeze_v1(text);
