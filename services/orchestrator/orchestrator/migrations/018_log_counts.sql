-- How many lines the log of each run has, by who said them and of what level: to count them anew for each page would read
-- all of a long log. Triggers count, so that lines which an orchestrator of an earlier version writes are counted too.
CREATE TABLE log_counts (
    run_id text NOT NULL,
    level text NOT NULL,
    agent text NOT NULL,
    -- Empty where a line has none.
    agent_name text NOT NULL,
    lines bigint NOT NULL,
    PRIMARY KEY (run_id, level, agent, agent_name)
);

-- Nobody writes a line between those that are counted here and those that the triggers count.
LOCK TABLE logs IN SHARE ROW EXCLUSIVE MODE;

INSERT INTO log_counts (run_id, level, agent, agent_name, lines)
SELECT run_id, coalesce(record ->> 'level', ''), coalesce(record ->> 'agent', ''),
    coalesce(record ->> 'agent_name', ''), count(*)
FROM logs GROUP BY 1, 2, 3, 4;

-- In one order, so that no two writers wait for each other.
CREATE FUNCTION count_lines() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sign integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    INSERT INTO log_counts AS counted (run_id, level, agent, agent_name, lines)
    SELECT run_id, coalesce(record ->> 'level', ''), coalesce(record ->> 'agent', ''),
        coalesce(record ->> 'agent_name', ''), sign * count(*)
    FROM changed GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (run_id, level, agent, agent_name) DO UPDATE SET lines = counted.lines + excluded.lines;
    IF TG_OP = 'DELETE' THEN
        DELETE FROM log_counts WHERE lines = 0 AND run_id IN (SELECT run_id FROM changed);
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION count_no_lines() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM log_counts;
    RETURN NULL;
END
$$;

CREATE TRIGGER logs_added AFTER INSERT ON logs REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_lines();
CREATE TRIGGER logs_forgotten AFTER DELETE ON logs REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_lines();
CREATE TRIGGER logs_emptied AFTER TRUNCATE ON logs FOR EACH STATEMENT EXECUTE FUNCTION count_no_lines();

-- Few lines are warnings or errors, and readers look for them.
CREATE INDEX logs_levels ON logs (run_id, (record ->> 'level'), sequence);
DROP INDEX logs_metrics;
