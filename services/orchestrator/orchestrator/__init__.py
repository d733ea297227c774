"""The orchestrator: runs of durable steps (DESIGN.md, section 4), and the pipeline jobs of document E on them."""
