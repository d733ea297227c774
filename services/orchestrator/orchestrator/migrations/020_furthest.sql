-- How far an agent that trains has come at most, from 0 to 1: what goes on from a checkpoint does some steps again, and
-- is not to seem less far meanwhile.
ALTER TABLE log_counts ADD COLUMN furthest double precision NOT NULL DEFAULT 0;

CREATE OR REPLACE FUNCTION count_lines() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sign integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    INSERT INTO log_counts AS counted (run_id, level, agent, agent_name, lines, furthest)
    SELECT run_id, coalesce(record ->> 'level', ''), coalesce(record ->> 'agent', ''),
        coalesce(record ->> 'agent_name', ''), sign * count(*),
        -- A line is anybody's text: as floats its numbers may be of any size.
        least(greatest(coalesce(max(
            (record ->> 'step')::float8 / nullif((record ->> 'total_steps')::float8, 0)
        ), 0), 0), 1)
    FROM changed GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (run_id, level, agent, agent_name) DO UPDATE
        SET lines = counted.lines + excluded.lines, furthest = greatest(counted.furthest, excluded.furthest);
    IF TG_OP = 'DELETE' THEN
        DELETE FROM log_counts WHERE lines = 0 AND run_id IN (SELECT run_id FROM changed);
    END IF;
    RETURN NULL;
END
$$;
