-- Numbers of what was done to jobs grow over all of them: a checkpoint tells which adjustments it knows of, and a job may
-- go on from another one's.
CREATE SEQUENCE job_steering_numbers AS bigint;
SELECT setval('job_steering_numbers', (SELECT coalesce(max(number), 0) + 1 FROM job_steering), false);
ALTER TABLE job_steering ALTER COLUMN number TYPE bigint, ALTER COLUMN number SET DEFAULT nextval('job_steering_numbers');
ALTER SEQUENCE job_steering_numbers OWNED BY job_steering.number;
