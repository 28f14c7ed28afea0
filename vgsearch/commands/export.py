"""vgsearch export EXP[/TRIAL] DIR: a model for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options
from videogan.amounts import n_of


def export(
    model: Annotated[Path, typer.Argument(metavar="EXP[/TRIAL]", help="A trial, or an experiment for its best trial.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New folder to write.")],
    json: options.Json = False,
) -> None:
    """Write a trained model for other programs: weights, configuration, model card, command and sample clips.

    In Python: videogan.load(DIR).sample(4).
    """
    import json as json_module

    from vgsearch.export.export import export as write_model
    from vgsearch.terminal.line import print_line
    from vgsearch.terminal.words import shown

    options.told_checkpoint(model)  # `write_model` takes the same
    files = write_model(model, folder)
    if json:
        print_line(json_module.dumps({"folder": str(folder), "files": list(map(str, files))}))
        return
    for path in files:
        if path.parent == folder:
            print_line(shown(path))
    print_line(f"{shown(folder / 'clips')}   {n_of(sum(path.suffix == '.mp4' for path in files), 'clip')}")
