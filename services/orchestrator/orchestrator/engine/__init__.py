"""What goes on by itself: steps and executions carried out, leases reaped, schedules started, runs told about."""
