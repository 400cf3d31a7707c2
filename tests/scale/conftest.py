"""What Airflow knows, asked in a process of its own: it reads its settings at the first import."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

_ASK = """
import inspect, json, sys
from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf
from airflow.jobs import scheduler_job_runner
from airflow.providers_manager import ProvidersManager
ProvidersManager().initialize_providers_configuration()
for command in json.load(sys.stdin):
    get_parser().parse_args(command)
known = {s: {o: bool(d.get("sensitive")) for o, d in v["options"].items()}
         for s, v in conf.configuration_description.items()}
# Read by the scheduler, but described nowhere.
for option in ("num_stuck_in_queued_retries",):
    if f'key="{option}"' in inspect.getsource(scheduler_job_runner):
        known["scheduler"][option] = False
print(json.dumps(known))
"""

Known = dict[str, dict[str, bool]]


@pytest.fixture(scope="session")
def ask_airflow(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[list[str]]], Known]:
    """A function that has Airflow parse commands and returns its sections and options.

    An option's value says whether it is a secret, which Airflow also takes from a command.
    """
    home = tmp_path_factory.mktemp("airflow")

    def ask(commands: list[list[str]]) -> Known:
        done = subprocess.run(
            [sys.executable, "-c", _ASK],
            input=json.dumps(commands),
            env={"AIRFLOW_HOME": str(home), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: Known = json.loads(done.stdout.splitlines()[-1])
        return found

    return ask
