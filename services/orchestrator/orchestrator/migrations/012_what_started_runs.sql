-- What started a run of a workflow, and which one: the id of a schedule or a webhook.
ALTER TABLE workflow_runs ADD COLUMN trigger text NOT NULL DEFAULT 'api'
    CHECK (trigger IN ('api', 'schedule', 'webhook', 'rerun', 'fork'));
ALTER TABLE workflow_runs ADD COLUMN trigger_id bigint
    CHECK ((trigger IN ('schedule', 'webhook')) = (trigger_id IS NOT NULL));

-- Of earlier runs it is known by the keys under which schedules and deliveries started them, and by their parents.
UPDATE workflow_runs SET trigger = split_part(idempotency_key, ':', 1),
    trigger_id = split_part(idempotency_key, ':', 2)::bigint
FROM runs WHERE runs.id = workflow_runs.run AND parent IS NULL
    AND idempotency_key ~ '^(schedule:[0-9]{1,18}:[0-9]{4}-[0-9]{2}-[0-9]{2}T|webhook:[0-9]{1,18}:)';
UPDATE workflow_runs SET trigger = CASE WHEN workflow_runs.inputs = earlier.inputs THEN 'rerun' ELSE 'fork' END
FROM workflow_runs AS earlier WHERE earlier.id = workflow_runs.parent;

CREATE INDEX workflow_runs_trigger ON workflow_runs (trigger, trigger_id, id);
