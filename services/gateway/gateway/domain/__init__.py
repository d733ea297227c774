"""What the gateway decides by itself: keys, uploads, archives and the forms of OpenAI's API. Pure: no await, no I/O."""
