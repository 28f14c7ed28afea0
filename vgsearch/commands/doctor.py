"""vgsearch doctor: what this machine has and lacks, a line each."""

import typer

from vgsearch.commands import options


def doctor(json: options.Json = False) -> None:
    """Check python, torch, ray, video codecs, GPU, disk, memory, ports, cluster token. Exit 1 on a blocker."""
    import json as json_module

    from vgsearch.commands.machine import diagnose

    checks = diagnose()
    if json:
        print(json_module.dumps([check.__dict__ for check in checks]))
    else:
        for check in checks:
            print(f"{'ok  ' if check.ok else 'FAIL' if check.blocks else 'note'}  {check.what:8} {check.result}")
    if any(check.blocks and not check.ok for check in checks):
        raise typer.Exit(1)
