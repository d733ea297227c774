"""Our gateway, bus and router beside other LLM gateways, each in front of the same fixed upstream."""
