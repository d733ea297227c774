"""The one door to the platform: REST, SSE and OpenAI's API over HTTP, answered by the services behind the bus."""

API_VERSION = "1.0.0"
"""The version of the public API, which `/health` and the API description tell."""
