"""How the router reaches outside: engines over HTTP, adapter files in the object store, the registry, recording."""
