"""vgsearch cluster: copy a file that starts a Ray cluster, and check it before it costs money."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vgsearch.commands import options
from vgsearch.terminal.line import print_line

if TYPE_CHECKING:
    from rich.console import Console

    from vgsearch.cluster.check.finding import Finding
    from vgsearch.cluster.check.workers import GpuNeed
    from videogan.training.gpus import GPU

UCF_101 = 101
"""Classes of the papers' largest data set."""
app = typer.Typer(no_args_is_help=True)


@app.callback()
def cluster() -> None:
    """Copy a file that starts a Ray cluster, and check it before it costs money."""


@app.command("init")
def init(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="aws, gcp, on_premises, kuberay, slurm, Dockerfile or README.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write. Default: its own name, in this folder.")
    ] = None,
    fill: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Fill in a placeholder, e.g. BUCKET=my-bucket. Repeatable."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Copy a cluster file to edit; an existing file is not overwritten."""
    import json as json_module

    from vgsearch.cluster.init import copy_out
    from vgsearch.terminal.words import shown, typed

    written, left = copy_out(kind, out, fill or [])
    if json:
        print_line(json_module.dumps({"file": str(written), "placeholders": list(left)}))
        return
    print_line(f"wrote {shown(written)}" + (f"; left to fill in: {', '.join(left)}" if left else ""))
    if written.suffix == ".yaml":
        print_line(f"next  vgsearch cluster check {typed(written)}")


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file for `ray up` or KubeRay.")],
    space: Annotated[str | None, typer.Option(metavar="SPACE", help="Search space to run there. Default: any.")] = None,
    budget: Annotated[
        str, typer.Option("--budget", metavar="NAME", help="Budget to run there; only paper needs GPUs.")
    ] = "paper",
    json: options.Json = False,
) -> None:
    """Check a cluster file for errors, and for mistakes that Ray accepts and you would pay for.

    Checks tokens, ports, shared storage, versions, setup, spot nodes, GPUs, and with --space their memory.
    Starts nothing and reaches no network.
    Exit code 1 if it finds anything but notes.
    """
    import json as json_module

    from vgsearch.cluster.check.check import check_text
    from vgsearch.terminal.console import Terminal
    from videogan.storage.text_file import read_text

    findings = check_text(read_text(file), _what_needs_gpus(space, budget), _gpu_need(space, budget))
    if json:
        print(json_module.dumps([finding.record(str(file)) for finding in findings]))
    else:
        _print_findings(file, findings, Terminal())
    if any(not finding.is_note for finding in findings):
        sys.exit(1)


def _what_needs_gpus(space: str | None, budget: str) -> str | None:
    """The search's name if it needs GPUs, as only the paper's networks do; else None."""
    from vgsearch.space.budgets import BUDGETS
    from vgsearch.space.space import load_space
    from videogan.config import ConfigurationError, suggestion

    if budget not in BUDGETS:
        raise ConfigurationError(f"--budget: '{budget}' is not a budget{suggestion(budget, list(BUDGETS))}")
    name = load_space(space).name if space else "every space"
    return f"{name} at --budget paper" if budget == "paper" else None


def _gpu_need(space: str | None, budget: str) -> "GpuNeed | None":
    """What the paper's point of `space` needs of a GPU at the paper's budget, as a dry run forecasts it."""
    if space is None or budget != "paper":
        return None
    from vgsearch.cluster.check.workers import GpuNeed
    from vgsearch.space.space import load_space
    from vgsearch.space.sweep import Sweep
    from videogan.training.fitting import as_options, gpu_bytes, settings_that_fit

    found = load_space(space)
    if found.is_of_program:
        return None  # known to itself alone
    # The number of classes and the data barely change the size.
    sweep = Sweep(space=found, budget=budget, data="", manifest_digest="0" * 64, n_classes=UCF_101, n_trials=1)
    config = sweep.family_config(sweep.paper_points[0])
    search = f"the paper's point of {found.name} at --budget {budget}"

    def options(gpu: "GPU") -> str:
        return as_options(settings_that_fit(config, gpu.memory_bytes, has_bf16=gpu.has_bf16) or {})

    return GpuNeed(search, gpu_bytes(config), options)


def _print_findings(file: Path, findings: "list[Finding]", console: "Console") -> None:
    from rich.text import Text

    from videogan.amounts import n_of

    for finding in findings:
        kind = ("note", "") if finding.is_note else ("FAIL", "red")
        head = Text.assemble(kind, f"  {file}:{finding.line}  ", (finding.rule, "bold"), f"  {finding}")
        console.print(head, soft_wrap=True)
    n_failed = sum(not finding.is_note for finding in findings)
    n_notes = len(findings) - n_failed
    notes = n_of(n_notes, "note") if n_notes else "no notes"
    console.print(f"{file}: {f'{n_failed} to fix' if n_failed else 'ok'}, {notes}", soft_wrap=True)
