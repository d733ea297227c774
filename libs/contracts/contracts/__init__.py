"""What the services say to each other: subjects and messages, declared once, as values.

One module per owner (`registry`, `orchestrator`, `router`, `gateway`), `pipeline` for the agents of a job, `base` for
the kinds of contract and `topology` for who may say what to whom. Depends on pydantic only.
"""
