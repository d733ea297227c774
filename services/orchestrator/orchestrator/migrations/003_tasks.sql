-- Tasks (document D). One that is answered directly is this row alone, under a lease while its answer is being made; one
-- that has a plan is a run of kind `task`, which its state then follows from.
CREATE TABLE tasks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id text NOT NULL UNIQUE,
    owner text NOT NULL,
    idempotency_key text,
    prompt text NOT NULL,
    profile text NOT NULL,
    role text NOT NULL,
    analysis jsonb NOT NULL,
    run bigint REFERENCES runs,

    -- Of a task without a run.
    status text CHECK (status IN ('Processing', 'Completed', 'Failed', 'Cancelled')),
    lease_until timestamptz,
    result text,
    error text,

    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CHECK ((run IS NULL) = (status IS NOT NULL)),
    -- Nothing is being answered for ever.
    CHECK (status IS DISTINCT FROM 'Processing' OR (lease_until IS NOT NULL AND finished_at IS NULL)),
    CHECK ((status = 'Completed') = (result IS NOT NULL) OR status IS NULL)
);

CREATE UNIQUE INDEX tasks_idempotency_key ON tasks (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX tasks_run ON tasks (run) WHERE run IS NOT NULL;
CREATE INDEX tasks_ended ON tasks (finished_at);
CREATE INDEX runs_active ON runs (kind) WHERE status = 'active';
CREATE INDEX runs_ended ON runs (kind, finished_at);
CREATE INDEX tasks_leases ON tasks (lease_until) WHERE status = 'Processing';

CREATE TRIGGER tasks_end_once BEFORE UPDATE ON tasks FOR EACH ROW
    WHEN (OLD.status <> 'Processing') EXECUTE FUNCTION refuse_change('it has ended');

-- The state of every task, whichever way it is done.
CREATE VIEW task_states AS
SELECT
    tasks.id, tasks.task_id, tasks.owner, tasks.idempotency_key, tasks.prompt, tasks.profile, tasks.role,
    tasks.analysis, tasks.run,
    CASE
        WHEN runs.id IS NULL THEN tasks.status
        WHEN runs.status = 'active' AND begun.at IS NULL THEN 'Planned'
        WHEN runs.status = 'active' THEN 'Processing'
        ELSE initcap(runs.status)
    END AS status,
    CASE
        WHEN runs.id IS NULL THEN tasks.result
        -- The last step of a plan writes the answer.
        WHEN runs.status = 'completed' THEN (
            SELECT steps.output ->> 'text' FROM steps WHERE steps.run = runs.id ORDER BY steps.position DESC LIMIT 1
        )
    END AS result,
    coalesce(tasks.error, (runs.error ->> 'agent') || ': ' || (runs.error ->> 'message')) AS error,
    tasks.created_at,
    CASE WHEN runs.id IS NULL THEN tasks.created_at ELSE begun.at END AS started_at,
    coalesce(tasks.finished_at, runs.finished_at) AS finished_at
FROM tasks
LEFT JOIN runs ON runs.id = tasks.run
LEFT JOIN LATERAL (SELECT min(steps.started_at) AS at FROM steps WHERE steps.run = tasks.run) AS begun ON true;

-- The system prompts that tasks are done under: a role says who answers, a profile how.
CREATE TABLE personas (
    kind text NOT NULL CHECK (kind IN ('profile', 'role')),
    name text NOT NULL,
    system_prompt text NOT NULL,
    description text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, name)
);

INSERT INTO personas (kind, name, description, system_prompt) VALUES
('profile', 'General', 'Everyday questions and tasks of any kind',
 'Answer accurately and to the point, in the language of the request. Say so when you do not know something.'),
('profile', 'Coder', 'Programs, queries, configuration',
 'The work is about software. Write complete, correct and readable code in fenced blocks that name the language. Handle errors, name the assumptions you make, and explain only what the code does not say itself.'),
('profile', 'Writer', 'Articles, letters, stories',
 'The work is about text. Write clear, lively prose with a structure that fits its purpose and its readers, in the tone that the request asks for. Prefer concrete words and short sentences.'),
('profile', 'Analyst', 'Data, comparisons, decisions',
 'The work is about facts and figures. Tell what is known from what is assumed, show the steps of each calculation, compare alternatives by the same criteria, and end with a conclusion that follows from them.'),
('profile', 'Researcher', 'Overviews of a subject',
 'The work is about finding out. Cover the subject from several sides, say how certain each statement is, name what remains open, and never invent a source.'),
('profile', 'Teacher', 'Explanations for learners',
 'The work is about understanding. Start from what the reader is likely to know, build up in small steps with examples, and end with what to remember.'),
('role', 'Chat-Agent', 'Talks with the person who asks',
 'You are a helpful assistant.'),
('role', 'Planner', 'Breaks work down into steps',
 'You are a planner. Break the work down into clear steps with their order, what each needs and how to tell that it is done.'),
('role', 'Executor', 'Does exactly what is asked',
 'You are a diligent specialist. Do exactly what is asked and give the result alone, without introduction or comment.'),
('role', 'Reviewer', 'Finds what is wrong or missing',
 'You are a critical reviewer. Point out what is wrong, missing or unclear, in order of importance, and say how to correct it.'),
('role', 'Summarizer', 'Shortens without losing what matters',
 'You summarise. Keep what matters, leave out the rest, and add nothing.');
