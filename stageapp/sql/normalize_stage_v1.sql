-- What a raw stage text means, by the tables of the current vocabulary: the same answer as stageapp/vocabulary/text.py.
-- PostgreSQL 16 and later, any locale, no extension. STABLE: it reads tables, so never put it in an index or a CHECK.

CREATE FUNCTION stage_squeeze_v1(text text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
-- Not by a regular expression: a session keeps 32 of them compiled, and the rules need nearly all.
DECLARE
    squeezed text := text;
BEGIN
    WHILE strpos(squeezed, '  ') > 0 OR strpos(squeezed, '--') > 0 LOOP
        squeezed := replace(replace(squeezed, '  ', ' '), '--', '-');
    END LOOP;
    RETURN btrim(squeezed, ' ');
END
$$;

CREATE FUNCTION stage_fold_v1(raw text) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
AS $$
    -- NULL if a character is outside the table. A range keeps its characters (=), or all become the same.
    SELECT CASE WHEN bool_and(folded IS NOT NULL) THEN stage_squeeze_v1(string_agg(folded, '' ORDER BY place)) END
      FROM (
        SELECT place,
               COALESCE(
                   (SELECT c.replacement FROM stageapp_foldingcharacter c WHERE c.codepoint = ascii(letter)),
                   (SELECT CASE WHEN r.last < ascii(letter) THEN NULL WHEN r.replacement = '=' THEN letter ELSE r.replacement END
                      FROM stageapp_foldingrange r WHERE r.first <= ascii(letter) ORDER BY r.first DESC LIMIT 1)
               ) AS folded
          FROM string_to_table(raw, NULL) WITH ORDINALITY AS letters (letter, place)
      ) AS table_read
$$;

CREATE FUNCTION stage_key_v1(folded text) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    patterns text[];
    outcomes text[];
    settled text := folded;
    before text;
    rewritten text;
BEGIN
    SELECT array_agg(pattern ORDER BY position), array_agg(outcome ORDER BY position)
      INTO patterns, outcomes
      FROM stageapp_textrule WHERE kind = 'rewrite';
    FOR pass IN 1 .. 6 LOOP
        before := settled;
        FOR i IN 1 .. COALESCE(array_length(patterns, 1), 0) LOOP
            rewritten := regexp_replace(settled, patterns[i], outcomes[i], 'g');
            -- A rewrite that would leave nothing is not done.
            IF rewritten <> settled THEN
                settled := COALESCE(NULLIF(stage_squeeze_v1(rewritten), ''), settled);
                IF length(settled) > 256 THEN -- a mark may become a word: the cost stays bounded
                    RETURN NULL;
                END IF;
            END IF;
        END LOOP;
        IF settled = before THEN
            RETURN settled;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

CREATE FUNCTION stage_translate_v1(settled text) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
AS $$
-- Every known phrase of up to 6 words in English, the longest first.
DECLARE
    words text[] := string_to_array(settled, ' ');
    english text[] := '{}';
    place int := 1;
    translated text;
    size int;
BEGIN
    WHILE place <= cardinality(words) LOOP
        translated := NULL;
        FOR size_tried IN REVERSE least(6, cardinality(words) - place + 1) .. 1 LOOP
            size := size_tried;
            SELECT w.english INTO translated FROM stageapp_textword w
             WHERE w.phrase = array_to_string(words[place : place + size - 1], ' ');
            EXIT WHEN translated IS NOT NULL;
        END LOOP;
        english := english || COALESCE(translated, words[place]);
        place := place + CASE WHEN translated IS NULL THEN 1 ELSE size END;
    END LOOP;
    RETURN array_to_string(english, ' ');
END
$$;

CREATE FUNCTION explain_stage(raw text, source text DEFAULT '') RETURNS TABLE (stage text, reason text, key text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 COST 5000
AS $$
#variable_conflict use_column
DECLARE
    folded text;
    settled text;
    english text;
    alias record;
    verdict record;
BEGIN
    IF raw IS NULL THEN
        RETURN QUERY SELECT NULL::text, 'blank', '';
        RETURN;
    END IF;
    IF raw <> '' AND length(raw) <= 256 THEN
        folded := stage_fold_v1(raw);
        settled := CASE WHEN folded <> '' THEN stage_key_v1(folded) END;
        english := stage_translate_v1(settled);
        IF english <> settled THEN
            settled := stage_key_v1(english);
        END IF;
    END IF;
    IF settled IS NULL OR length(settled) > 256 THEN
        RETURN QUERY SELECT NULL::text, CASE WHEN raw = '' OR folded = '' THEN 'blank' ELSE 'junk' END, '';
        RETURN;
    END IF;
    SELECT s.slug::text AS slug, a.reason::text AS reason INTO alias
      FROM stageapp_stagealias a LEFT JOIN stageapp_stage s ON s.id = a.stage_id
     WHERE a.key = settled AND a.source IN (explain_stage.source, '') AND (a.stage_id IS NULL OR s.active)
     ORDER BY a.source = explain_stage.source DESC
     LIMIT 1;
    IF FOUND THEN
        RETURN QUERY SELECT alias.slug, CASE WHEN alias.slug IS NULL THEN alias.reason END, settled;
        RETURN;
    END IF;
    -- Read first, match then: in one query the planner may match every rule, and a session keeps but 32 patterns compiled.
    FOR verdict IN SELECT r.pattern, r.outcome FROM stageapp_textrule r WHERE r.kind = 'verdict' ORDER BY r.position LOOP
        IF settled ~ verdict.pattern THEN
            RETURN QUERY SELECT NULL::text, verdict.outcome::text, settled;
            RETURN;
        END IF;
    END LOOP;
    RETURN QUERY SELECT NULL::text, 'unmapped', settled;
END
$$;

CREATE FUNCTION normalize_stage(raw text, source text DEFAULT '') RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE COST 5000
AS $$ SELECT e.stage FROM explain_stage(raw, source) AS e $$;

-- Whoever calls them, and with whatever search_path: they read the tables beside which they were made, and no temporary ones.
DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY['stage_squeeze_v1(text)', 'stage_fold_v1(text)', 'stage_key_v1(text)', 'stage_translate_v1(text)',
                                     'explain_stage(text, text)',
                                     'normalize_stage(text, text)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', signature, current_schema());
    END LOOP;
END
$$;
