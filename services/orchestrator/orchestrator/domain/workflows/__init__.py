"""What blocks, payloads and workflows mean (document C)."""
