-- How many files there were when they were first to go. While there are as many, jobs that use them may keep them, even
-- where removing has begun.
ALTER TABLE freeing ADD COLUMN files integer;
