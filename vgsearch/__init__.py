"""The platform: searches hyperparameters of the video GANs in `videogan` on Ray.

`cli.py` is the table of contents; each folder holds one subject. For programs: `tune` searches, `load` reads an
earlier search; they import Ray when they are called.
"""

from typing import Any


def tune(searched: Any, *arguments: Any, **options: Any) -> Any:
    """Search a space and return its experiment, with `.trials`, `.best`, `.verdict`, `.model()` and `.report()`.

    `vgsearch.tune("mvt_tsa", data="data/mine", budget="smoke", overrides={"loop.batch_size": 16})`; see
    `vgsearch.interface.search.tune`. Or search a Python function that makes videos,
    `vgsearch.tune(train, {"lr": {...}}, data="data/mine", ...)`; see `vgsearch.interface.function.tune_function`.
    """
    from vgsearch.interface.function import tune_function
    from vgsearch.interface.search import tune as tune_space

    return (tune_function if callable(searched) else tune_space)(searched, *arguments, **options)


def load(where: Any) -> Any:
    """The experiment at a path or an address, as `tune` returns it, or that of a trial, EXP/t0003.

    See `vgsearch.interface.experiment`.
    """
    from vgsearch.interface.experiment import SearchedExperiment

    return SearchedExperiment(where)
