"""What listens: claims steps from the orchestrator, keeps their leases, has them worked on and tells the outcome."""
