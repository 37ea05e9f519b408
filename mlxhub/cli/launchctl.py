"""`mlxhub-launchctl`: the launchctl that mlxhub itself uses, for people to look with."""

import os
import sys

from mlxhub.files.machine import this_machine


def main() -> None:
    machine = this_machine()
    command = [*machine.launchctl, *sys.argv[1:]]
    os.execve(command[0], command, dict(machine.launchctl_environment))
