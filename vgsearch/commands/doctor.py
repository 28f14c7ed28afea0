"""vgsearch doctor: what this machine has and lacks, a line each."""

import typer

from vgsearch.commands import options


def doctor(json: options.Json = False) -> None:
    """Check python, torch, ray, video codecs, GPU, disk, memory, ports, cluster token. Exit 1 on a blocker."""
    import json as json_module

    from vgsearch.commands.machine import diagnose

    findings = diagnose()
    if json:
        print(json_module.dumps([finding.__dict__ for finding in findings]))
    else:
        for finding in findings:
            print(f"{'ok  ' if finding.ok else 'FAIL' if finding.blocks else 'note'}  {finding.what:8} {finding.told}")
    if any(finding.blocks and not finding.ok for finding in findings):
        raise typer.Exit(1)
