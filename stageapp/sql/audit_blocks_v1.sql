-- The audit log by blocks: the keys of all rows that one batch changed from one value to another.

-- A place is a key as a bigint that keeps the keys' order, so that one kind of range serves integers and UUIDs. It is
-- halved, as the upper end of an int8range lies one above the last place. Two UUIDs may share a place.
CREATE FUNCTION stageapp_place(key bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT key >> 1 $$;

CREATE FUNCTION stageapp_place(key uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (('x' || left(replace(key::text, '-', ''), 16))::bit(64)::bigint # (-9223372036854775807 - 1)) >> 1
$$;

CREATE VIEW stageapp_auditentry AS
SELECT l.id::text || '-' || row.place AS id, l.id AS block_id, l.batch_id, row.place::integer AS place,
       row.key AS row_key, l.old, l.new
  FROM stageapp_normalizationlog l
 CROSS JOIN LATERAL (
       SELECT k::text AS key, place FROM unnest(l.keys) WITH ORDINALITY AS u(k, place)
        UNION ALL
       SELECT k::text, place FROM unnest(l.uuids) WITH ORDINALITY AS u(k, place)
       ) AS row;
