"""The whole platform on one machine: everything brought up in its order, then watched until a stop is asked for."""

import os
import threading
import time
from collections.abc import Mapping

from embedded.errors import StartError, StopRequested
from embedded.files import exclusive, make_private
from embedded.log import Log
from embedded.ports import choose
from embedded.running import RUNNING_FILE, Running
from embedded.secrets import AdminKey, AdminPassword
from embedded.servers import PORTS_FILE, Servers
from embedded.servers import port_requests as server_ports
from embedded.services import GATEWAY, SIMULATED_ENGINES, ProcessTable
from embedded.services import port_requests as service_ports
from embedded.settings import Settings
from embedded.supervisor import Stage, Supervisor
from embedded.vllm import VLLM, Vllm

_WELCOME = """
  LLM Platform is ready at {url} after {seconds:.1f} s.
  The administrator's key is {place}.
  Prompts can be tried at {url}/llm/: log in as admin; the first password is {password_place}.

  Try:
    curl -s {url}/health
    curl -s {url}/v1/chat/completions -H "Authorization: Bearer {key}" -H 'Content-Type: application/json' \\
      -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'
    make demo

  Ctrl-C stops everything.
"""


class Machine:
    """One run of the platform."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self.supervisor = Supervisor(log, on_change=self._record)
        self._settings = settings
        self._data_dir = settings.data_dir.resolve()
        self._log = log
        self._ports: Mapping[str, int] = {}
        self._ready = False
        self._recording = threading.Lock()

    @property
    def url(self) -> str:
        """Where the gateway answers."""
        return f"http://127.0.0.1:{self._ports[GATEWAY]}"

    def run(self) -> None:
        """Starts everything and returns after `supervisor.request_stop`, when nothing runs any more.

        Raises StartError when the platform cannot start; what had started is stopped then.
        """
        with exclusive(self._data_dir):
            try:
                self._start()
                self.supervisor.stop_requested.wait()
            except StopRequested:
                pass
            finally:
                self._log.say("stopping")
                self.supervisor.stop()
                Running.remove(self._data_dir)
                self._log.say("stopped")

    def _start(self) -> None:
        began = time.monotonic()
        settings, supervisor = self._settings, self.supervisor
        admin_key = AdminKey.load(settings.data_dir, settings.admin_key)
        admin_password = AdminPassword.load(settings.data_dir, settings.admin_password)
        vllm = None
        if settings.engine == "vllm":
            vllm = Vllm.of(settings, make_private(self._data_dir / "models"))
        requests = [
            *server_ports(settings.nats_port, settings.postgres_port, settings.s3_port),
            *service_ports(settings),
        ]
        self._ports = choose(requests, self._data_dir / PORTS_FILE)
        servers = Servers.of(self._data_dir, self._ports, fsync=True)
        table = ProcessTable(
            settings, self._data_dir, self._ports, servers.endpoints, servers.secrets, admin_key, admin_password, vllm
        )
        self._log.say("starting", data_dir=str(settings.data_dir))
        servers.launch(supervisor)
        # Engines need none of the servers and take longest to import, so they come up meanwhile.
        supervisor.launch(Stage.ENGINES, *table.engines())
        servers.provision(supervisor)
        supervisor.launch(Stage.SERVICES, *table.services())
        supervisor.launch(Stage.WORKERS, table.trainer())
        supervisor.launch(Stage.GATEWAY, table.gateway())
        supervisor.wait_ready(settings.start_timeout)
        self._ready = True
        self._record()
        self._log.show(
            _WELCOME.format(
                url=self.url,
                seconds=time.monotonic() - began,
                place=admin_key.place,
                password_place=admin_password.place,
                key=admin_key.shell,
                model=SIMULATED_ENGINES[0].model,
            )
        )
        if vllm is not None:
            self._bring_up(vllm, table)

    def _bring_up(self, vllm: Vllm, table: ProcessTable) -> None:
        """Starts vLLM, which takes half a minute or, with a model to download, many: all else is usable meanwhile."""
        self._log.say("vllm_starting", model=vllm.model)
        self.supervisor.launch(Stage.ENGINES, *table.vllm_engine())
        threading.Thread(target=self._await_vllm, args=(vllm.model,), name="await vllm", daemon=True).start()

    def _await_vllm(self, model: str) -> None:
        began = time.monotonic()
        try:
            self.supervisor.wait_ready(self._settings.vllm_start_timeout, VLLM)
        except StopRequested:
            return
        except StartError as error:
            # The rest is of use without it; what keeps it from starting will not pass by itself.
            process = self.supervisor.processes[VLLM]
            process.request_stop()
            process.finish_stop(self.supervisor.hurry)
            self._log.say("vllm_does_not_start", "error")
            self._log.show(f"\n  vLLM was given up: {error}\n")
        else:
            self._log.say("vllm_ready", model=model, seconds=round(time.monotonic() - began, 1))

    def _record(self) -> None:
        with self._recording:
            pids = {name: process.pid for name, process in self.supervisor.processes.items()}
            running = Running(
                pid=os.getpid(),
                url=self.url,
                ready=self._ready,
                ports=dict(self._ports),
                pids={name: pid for name, pid in pids.items() if pid is not None},
            )
            try:
                running.write(self._data_dir)
            except OSError as error:
                # A full disk must not end the thread that watches the process.
                self._log.say("not_recorded", "error", file=RUNNING_FILE, error=str(error))
