-- What a job has taken over of the results of others: what agent `agent` of the run `origin` made. It stays in the
-- object store as long as the job does, also when the one that made it is deleted.
CREATE TABLE reused_results (
    run bigint NOT NULL REFERENCES runs ON DELETE CASCADE,
    origin text NOT NULL,
    agent text NOT NULL,
    PRIMARY KEY (run, origin, agent)
);

CREATE INDEX reused_results_origin ON reused_results (origin);

-- Of jobs that there are it is known by where their results lie.
INSERT INTO reused_results (run, origin, agent)
SELECT DISTINCT runs.id, place[1], place[2]
FROM runs JOIN steps ON steps.run = runs.id,
    LATERAL regexp_matches(
        steps.output::text, 's3://artifacts/([A-Za-z0-9][A-Za-z0-9_-]*)/([A-Za-z0-9][A-Za-z0-9_-]*)', 'g'
    ) AS place
WHERE runs.kind = 'job' AND place[1] <> runs.run_id;

-- Jobs that were deleted. The row stays: their run ids are never given again.
CREATE TABLE deleted_jobs (
    run_id text PRIMARY KEY,
    owner text NOT NULL,
    -- Whose results it had taken over: what is left of those that are deleted may go with it.
    origins text[] NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- From when on none of its workers writes any more.
    quiet_at timestamptz NOT NULL,
    freed_bytes bigint NOT NULL DEFAULT 0,
    -- Whether there is something left that can go.
    pending boolean NOT NULL DEFAULT true,
    -- When what is left is looked for next; null when nothing will be.
    next_at timestamptz,
    -- Whether no agent is answered with its results any more.
    forgotten boolean NOT NULL DEFAULT false
);

CREATE INDEX deleted_jobs_next ON deleted_jobs (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deleted_jobs_unforgotten ON deleted_jobs (deleted_at) WHERE NOT forgotten;
