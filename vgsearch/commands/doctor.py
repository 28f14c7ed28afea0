"""vgsearch doctor: whether this machine can run a sweep."""

import typer

from vgsearch.commands import options
from vgsearch.terminal.line import print_line


def doctor(json: options.Json = False) -> None:
    """Check this machine: Python, PyTorch, Ray, video codecs, GPU, disk, memory, ports and token.

    Exit code 1 if this machine cannot run sweeps.
    """
    import json as json_module

    from vgsearch.commands.machine import diagnose

    checks = diagnose()
    if json:
        print(json_module.dumps([check.record() for check in checks]))
    else:
        for check in checks:
            print_line(f"{'ok  ' if check.ok else 'FAIL' if check.blocks else 'note'}  {check.what:8} {check.finding}")
    if any(check.blocks and not check.ok for check in checks):
        raise typer.Exit(1)
