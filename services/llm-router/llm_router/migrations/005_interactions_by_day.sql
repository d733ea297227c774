-- Interactions in one partition a day: a day that is over its time is dropped at once, and nothing has to be vacuumed.
ALTER TABLE interactions RENAME TO interactions_before;
ALTER INDEX interactions_pkey RENAME TO interactions_before_pkey;
DROP INDEX interactions_newest;

CREATE TABLE interactions (
    interaction_id text NOT NULL,
    route text NOT NULL,
    model text NOT NULL,
    -- What the caller named, where a fallback or an alias answered.
    requested_model text,
    engine text,
    input_text text NOT NULL,
    output_text text NOT NULL,
    parameters jsonb NOT NULL,
    status text NOT NULL,
    error_message text,
    error_type text,
    prompt_tokens integer NOT NULL,
    completion_tokens integer NOT NULL,
    -- USD; NULL when no price is known.
    cost numeric(24, 12),
    duration double precision NOT NULL,
    time_to_first_token double precision,
    principal text,
    trace_id text,
    created_at timestamptz NOT NULL,
    -- The moment is part of the event, so one that is told twice has the same.
    PRIMARY KEY (interaction_id, created_at)
) PARTITION BY RANGE (created_at);
CREATE INDEX interactions_newest ON interactions (created_at DESC, interaction_id DESC);
CREATE INDEX interactions_by_principal ON interactions (principal, created_at DESC);

-- What every key used of every model on each day of UTC: kept when the interactions themselves are long gone.
CREATE TABLE usage_by_day (
    day date NOT NULL,
    model text NOT NULL,
    -- '' for callers without a key.
    principal text NOT NULL,
    requests bigint NOT NULL,
    errors bigint NOT NULL,
    cancelled bigint NOT NULL,
    prompt_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    cost numeric(24, 12) NOT NULL,
    unpriced bigint NOT NULL,
    duration double precision NOT NULL,
    PRIMARY KEY (day, model, principal)
);

DO $$
DECLARE
    day date;
BEGIN
    FOR day IN SELECT DISTINCT (created_at AT TIME ZONE 'UTC')::date FROM interactions_before LOOP
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF interactions FOR VALUES FROM (%L) TO (%L)',
            'interactions_' || to_char(day, 'YYYYMMDD'), day || ' 00:00+00', day + 1 || ' 00:00+00'
        );
    END LOOP;
END $$;
INSERT INTO interactions (interaction_id, route, model, engine, input_text, output_text, parameters, status,
    error_message, prompt_tokens, completion_tokens, duration, time_to_first_token, principal, trace_id, created_at)
SELECT interaction_id, route, model, engine, input_text, output_text, parameters, status,
    error_message, prompt_tokens, completion_tokens, duration, time_to_first_token, principal, trace_id, created_at
FROM interactions_before;
INSERT INTO usage_by_day
SELECT (created_at AT TIME ZONE 'UTC')::date, model, coalesce(principal, ''), count(*),
    count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'cancelled'),
    sum(prompt_tokens), sum(completion_tokens), 0, count(*) FILTER (WHERE status = 'completed'), sum(duration)
FROM interactions_before GROUP BY 1, 2, 3;
DROP TABLE interactions_before;
