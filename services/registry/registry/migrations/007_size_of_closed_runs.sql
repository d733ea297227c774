-- How many bytes lay below the place of a run at most, since it was closed: what is not there any more is free, whoever
-- has removed it and died then.
ALTER TABLE closed_runs ADD COLUMN size bigint NOT NULL DEFAULT 0;
