"""vgsearch submit SPACE: a search as a job on a cluster."""

import shlex
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from vgsearch.terminal.line import print_line

JobAddress = Annotated[
    str,
    typer.Option("--address", metavar="URL", help="The cluster's Ray dashboard, e.g. http://127.0.0.1:8265."),
]
Detach = Annotated[bool, typer.Option("--detach", help="Start the job without showing its output.")]


def submit(
    context: typer.Context,
    space: Annotated[
        str,
        typer.Argument(
            metavar="SPACE|EXP", help="A search space, as for tune, or the address of an experiment to resume."
        ),
    ],
    address: JobAddress,
    detach: Detach = False,
) -> None:
    """Run tune or resume as a Ray job on a cluster, and show its output.

    The job keeps running if this machine disconnects.
    All other options are those of tune or resume; --out and --data must be places that every node can read.
    """
    from vgsearch.cluster.submit import remote_command
    from vgsearch.runtime.cluster.submission import connected, follow
    from vgsearch.runtime.cluster.submission import submit as start
    from videogan.storage.address_secrets import without_secrets

    commands: Mapping[str, Any] = getattr(context.find_root().command, "commands", {})  # typer's own, of the root group
    command = remote_command(space, context.args, commands)
    client = connected(address)
    job = start(client, command.arguments, command.space_file)
    shown_address = without_secrets(address)
    lines = [
        f"job {job} on {shown_address}: {shlex.join(['vgsearch', *command.arguments])}",
        f"stop   {shlex.join(['ray', 'job', 'stop', job, '--address', shown_address])}",
    ]
    if command.experiment:
        lines.append(f"watch  {shlex.join(['vgsearch', 'status', command.experiment, '--watch'])}")
    print_line("\n".join(lines), error=True)
    if detach:
        return
    try:
        code = follow(client, job, lambda text: (sys.stdout.write(text), sys.stdout.flush()))
    except KeyboardInterrupt:
        print_line(f"\nstopped watching; job {job} keeps running", error=True)
        raise typer.Exit(0) from None
    raise typer.Exit(code)
