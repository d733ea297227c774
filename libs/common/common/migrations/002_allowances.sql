-- How much of each limit has been handed out, per account and window. `taken` counts what was spent and what processes
-- hold to spend; `granted` is what the last statement handed out. A window without an end lasts for good.
CREATE TABLE allowances (
    account text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz,
    taken bigint NOT NULL,
    granted bigint NOT NULL,
    PRIMARY KEY (account, starts_at)
) WITH (fillfactor = 50);

CREATE INDEX allowances_ended ON allowances (ends_at);
