-- Finds the jobs that read a data set: one step of each, among all there are.
CREATE INDEX steps_reading_datasets ON steps (run) WHERE kind = 'DatasetAgent';
