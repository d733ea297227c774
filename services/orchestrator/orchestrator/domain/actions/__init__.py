"""Prompts, the actions that run them, and what is made of a model's answers (documents A and B)."""
