-- Steps that are split into parts, which are steps of their own (`for_each` of workflows). `part_of` is the position of
-- the step that one is a part of, `parts` into how many one was split, `kept_parts` what it takes over of an earlier
-- run's parts once it is: null, or one for each.
ALTER TABLE steps ADD COLUMN part_of integer;
ALTER TABLE steps ADD COLUMN parts integer NOT NULL DEFAULT 0;
ALTER TABLE steps ADD COLUMN kept_parts jsonb;

CREATE INDEX steps_parts ON steps (run, part_of, position) WHERE part_of IS NOT NULL;

-- The steps of workflows say which payload they are of.
UPDATE steps SET config = steps.config || jsonb_build_object(
    'payload_id', runs.definition -> 'payloads' -> (steps.config ->> 'position')::integer -> 'payload_id'
)
FROM runs
WHERE runs.id = steps.run AND runs.kind = 'workflow' AND steps.status IN ('waiting', 'ready', 'paused', 'running');
