"""A transformers engine for machines without vLLM: OpenAI's API, with vLLM's endpoints for LoRA adapters.

It serves several base models and several adapters of each, one generation at a time per base model. It does not batch
requests; where throughput counts, put vLLM in its place, which the router cannot tell apart.
"""
