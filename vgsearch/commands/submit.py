"""vgsearch submit SPACE: the same search as a job of a cluster."""

import sys
from typing import Annotated

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
    from vgsearch.cluster.submit import as_typed_there
    from vgsearch.runtime.cluster.submission import connected, follow
    from vgsearch.runtime.cluster.submission import submit as start

    commands = context.find_root().command.commands
    typed = as_typed_there(space, context.args, commands)
    client = connected(address)
    job = start(client, typed.arguments, typed.space_file)
    told = [
        f"job {job} on {address}: vgsearch {' '.join(typed.arguments)}",
        f"stop   ray job stop {job} --address {address}",
    ]
    if typed.experiment:
        told.append(f"watch  vgsearch status {typed.experiment} --watch")
    typer.echo("\n".join(told), err=True)
    if detach:
        return
    try:
        code = follow(client, job, lambda text: (sys.stdout.write(text), sys.stdout.flush()))
    except KeyboardInterrupt:
        typer.echo(f"\nleft; job {job} goes on", err=True)
        raise typer.Exit(0) from None
    raise typer.Exit(code)
