"""`vgsearch cluster`: files that start a Ray cluster, and what to mend in one before it costs anything."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vgsearch.commands import options

if TYPE_CHECKING:
    from rich.console import Console

    from vgsearch.cluster.check.finding import Finding

app = typer.Typer(no_args_is_help=True, help="Files that start a Ray cluster: init copies one out, check reads it.")


@app.callback()
def cluster() -> None:
    """Files that start a Ray cluster: init copies one out, check reads it before money is spent."""


@app.command("init")
def init(
    kind: Annotated[str, typer.Argument(help="aws, gcp, on_premises, kuberay, slurm, Dockerfile or README.")],
    out: Annotated[Path | None, typer.Option(help="File to write; by default its own name, here.")] = None,
    fill: Annotated[list[str] | None, typer.Option(help="NAME=value of a placeholder, e.g. BUCKET=my-bucket.")] = None,
) -> None:
    """Write one of vgsearch's cluster files to edit; an existing file stays as it is."""
    from vgsearch.cluster.init import copy_out
    from vgsearch.terminal.words import shown

    written, left = copy_out(kind, out, fill or [])
    print(f"wrote {shown(written)}" + (f"; left to fill in: {', '.join(left)}" if left else ""))
    if written.suffix == ".yaml":
        print(f"next  vgsearch cluster check {shown(written)}")


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="A file for `ray up`, or for KubeRay.")],
    space: Annotated[str | None, typer.Option(help="The search that is to run there; by default any.")] = None,
    budget: options.BudgetName = "paper",
    json: options.Json = False,
) -> None:
    """Read a cluster file as Ray will, and for what Ray takes and you would pay for. Exit 1 on anything but notes.

    Nothing is started and no network is reached. Token, ports, shared storage, versions, setup, GPUs, spot nodes.
    """
    import json as json_module

    from rich.console import Console

    from vgsearch.cluster.check.check import check_text
    from vgsearch.runtime.cluster.launcher_schema import schema_problems
    from videogan.config import ConfigurationError

    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: a cluster file must be text that can be read, got: {error}.") from None
    findings = check_text(text, schema_problems, _what_needs_gpus(space, budget))
    if json:
        print(json_module.dumps([finding.record(str(file)) for finding in findings]))
    else:
        _tell(file, findings, Console(highlight=False))
    if any(not finding.is_note for finding in findings):
        sys.exit(1)


def _what_needs_gpus(space: str | None, budget: str) -> str | None:
    """The words for a search that needs GPUs: the paper's networks do, scaled ones do not."""
    from vgsearch.space.budgets import BUDGETS
    from vgsearch.space.space import load_space
    from videogan.config import ConfigurationError, suggestion

    if budget not in BUDGETS:
        raise ConfigurationError(f"--budget: there is no '{budget}'{suggestion(budget, list(BUDGETS))}")
    name = load_space(space).name if space else "every space"
    return f"{name} at --budget paper" if budget == "paper" else None


def _tell(file: Path, findings: "list[Finding]", console: "Console") -> None:
    for finding in findings:
        kind = "note" if finding.is_note else "[red]FAIL[/red]"
        console.print(f"{kind}  {file}:{finding.line}  [bold]{finding.rule}[/bold]  ", end="", soft_wrap=True)
        console.print(str(finding), markup=False, soft_wrap=True)
    n_failed = sum(not finding.is_note for finding in findings)
    n_notes = len(findings) - n_failed
    notes = f"{n_notes} note(s)" if n_notes else "no notes"
    console.print(f"{file}: {f'{n_failed} to mend' if n_failed else 'ok'}, {notes}", markup=False, soft_wrap=True)
