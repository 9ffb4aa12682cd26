"""What the two Python programs share: the list of cases, and how each is run, judged and reported.

A case is a function that raises `Differs` where the broker does something else than Kafka's protocol promises, and
`Unsupported` where the client has no means to try. Its result is one line of JSON on standard output.
"""

import json
import os
import sys
import threading
import time
import traceback

LIMIT_S = 60


class Differs(Exception):
    """The broker did something else."""


class Unsupported(Exception):
    """The client cannot do this."""


def expect(condition, message):
    if not condition:
        raise Differs(message)


def same(actual, expected, what):
    expect(actual == expected, f"{what}: {actual!r} instead of {expected!r}")


def wait_for(condition, what, limit_s=30):
    """Calls `condition` until it is true; it does its own waiting, such as a poll of a consumer."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if condition():
            return
    raise Differs(f"{what}: not within {limit_s} s")


def known_cases():
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "cases.txt"), encoding="utf-8") as file:
        return file.read().split()


class Suite:
    """The cases of one client."""

    def __init__(self, client):
        self.client = client
        self.cases = {}
        # Topics, groups and transactional ids of two runs on one broker must not meet.
        self.run = f"{client}-{os.getpid()}-{int(time.time())}"

    def case(self, function):
        self.cases[function.__name__.replace("_", "-")] = function
        return function

    def report(self, name, result, note=""):
        line = {"client": self.client, "case": name, "result": result, "note": note}
        print(json.dumps(line), flush=True)

    def judge(self, name, run):
        """Runs one case in a thread of its own, so that one that hangs ends as a difference and not the program."""
        outcome = []

        def judged():
            try:
                run()
                outcome.append(("ok", ""))
            except Unsupported as error:
                outcome.append(("unsupported", str(error)))
            except Differs as error:
                outcome.append(("differs", str(error)))
            except Exception as error:  # Any other exception of the client is a difference too.
                traceback.print_exc(file=sys.stderr)
                outcome.append(("differs", f"{type(error).__name__}: {error}"))

        thread = threading.Thread(target=judged, daemon=True)
        thread.start()
        thread.join(LIMIT_S)
        self.report(name, *(outcome or [("differs", f"no end within {LIMIT_S} s")])[0])

    def main(self, call):
        """Runs the cases named on the command line after the bootstrap address, or all."""
        bootstrap, wanted = sys.argv[1], sys.argv[2:] or known_cases()
        for name in wanted:
            function = self.cases.get(name)
            if function is None:
                self.report(name, "differs", "the program has no such case")
            else:
                self.judge(name, lambda: call(function, bootstrap))
        # Threads of a client that hangs must not keep the program.
        sys.stdout.flush()
        os._exit(0)
