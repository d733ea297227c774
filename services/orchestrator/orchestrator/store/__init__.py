"""What the orchestrator remembers: all of its SQL. Each function takes a connection first and returns domain types.

Whoever changes several steps locks their run first and then the steps in the order of their ids (`runs.lock`); a claim
and a beat lock steps alone. So no two of them ever wait for each other.
"""
