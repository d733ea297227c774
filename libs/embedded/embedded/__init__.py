"""The platform on one machine: servers from wheels, engines and services, started in order and kept alive.

`machine.Machine` is one run of it, `platform.Platform` that run as a child process, and `servers.start_servers` NATS,
Postgres and S3 alone, for tests.
"""
