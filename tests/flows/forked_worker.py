"""A worker process for each run, without the seconds that a new interpreter takes: this one forks.

Reads "start RUN" and answers with the process that works the run; reads "end PROCESS" and answers with its exit code
(negative: the signal that killed it). Ends with its input.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import django


def answer(told: object) -> None:
    sys.stdout.write(f"{told}\n")
    sys.stdout.flush()


def serve() -> None:
    django.setup()
    from django.conf import settings

    from portal import runs

    for kind in settings.RUN_KINDS.values():
        import_module(kind)
    answer("ready")
    for line in sys.stdin:
        order, number = line.split()
        if order == "end":
            answer(os.waitstatus_to_exitcode(os.waitpid(int(number), 0)[1]))
            continue
        child = os.fork()
        if child:
            answer(child)
            continue
        status = 1
        try:
            # No connection to the database was opened before the fork, so none is shared.
            runs.run_here(int(number))
            status = 0
        finally:
            os._exit(status)


if __name__ == "__main__":
    serve()
