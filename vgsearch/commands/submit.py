"""vgsearch submit SPACE: the same search as a job of a cluster."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

JobAddress = Annotated[
    str,
    typer.Option("--address", metavar="URL", help="The cluster's dashboard, such as http://127.0.0.1:8265."),
]
Detach = Annotated[bool, typer.Option("--detach", help="Only start it; its output is not shown.")]


def submit(
    context: typer.Context,
    space: Annotated[
        str,
        typer.Argument(
            metavar="SPACE|EXP", help="As of tune; or an experiment's address, to go on with as resume does."
        ),
    ],
    address: JobAddress,
    detach: Detach = False,
) -> None:
    """Run tune (or resume) on a cluster's head as a job of Ray, and show its output; it goes on when this machine sleeps.

    All further options are those of tune, or of resume. --out and --data must name what the whole cluster sees.
    """
    from vgsearch.cluster.submit import remote_command
    from vgsearch.runtime.cluster.submission import connected, follow
    from vgsearch.runtime.cluster.submission import submit as start

    commands: Mapping[str, Any] = getattr(context.find_root().command, "commands", {})  # typer's own, of the root group
    command = remote_command(space, context.args, commands)
    client = connected(address)
    job = start(client, command.arguments, command.space_file)
    lines = [
        f"job {job} on {address}: vgsearch {' '.join(command.arguments)}",
        f"stop   ray job stop {job} --address {address}",
    ]
    if command.experiment:
        lines.append(f"watch  vgsearch status {command.experiment} --watch")
    typer.echo("\n".join(lines), err=True)
    if detach:
        return
    try:
        code = follow(client, job, lambda text: (sys.stdout.write(text), sys.stdout.flush()))
    except KeyboardInterrupt:
        typer.echo(f"\nstopped watching; job {job} continues", err=True)
        raise typer.Exit(0) from None
    raise typer.Exit(code)
