"""Makes the typed parts of both SDKs from the API's description, which the gateway prints."""
