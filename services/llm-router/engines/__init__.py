"""LLM engines of our own, each an HTTP server in a process of its own, for machines without vLLM, llama.cpp or Ollama.

`engines.local` runs models with transformers and peft; `engines.simulated` runs none and says so. Both speak OpenAI's
API, so the router needs to know nothing about them that it does not know about any other engine.
"""
