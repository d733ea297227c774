-- Runs of workflows (document C): runs of kind `workflow`, whose definition is the snapshot of the workflow that they
-- pin. Their steps are payloads, and a completed one's output is its response.
CREATE TABLE workflow_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run bigint NOT NULL UNIQUE REFERENCES runs ON DELETE CASCADE,
    -- The workflow may be gone by now.
    workflow_id bigint NOT NULL,
    workflow_version integer NOT NULL,
    workflow_name text NOT NULL,
    inputs jsonb NOT NULL,
    total_payloads integer NOT NULL CHECK (total_payloads > 0),
    -- The run that this one repeats a part of or was forked from.
    parent bigint REFERENCES workflow_runs ON DELETE SET NULL
);

CREATE INDEX workflow_runs_workflow ON workflow_runs (workflow_id, id);
CREATE INDEX workflow_runs_parent ON workflow_runs (parent) WHERE parent IS NOT NULL;

-- A step that waits for a person is `paused`, when its turn has come, until that one approves it.
ALTER TABLE steps ADD COLUMN approval boolean NOT NULL DEFAULT false;
