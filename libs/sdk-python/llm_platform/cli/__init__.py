"""The command line: the platform at the prompt, for people and, with `--json`, for scripts."""
