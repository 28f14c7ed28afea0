"""The names of the layouts in `videogan.data.formats`, for code that must not import what reads them."""

from videogan.plug_ins import LAYOUTS, installed_names

LAYOUT_NAMES = (
    "csv",
    "ucf101",
    "hmdb51",
    "kinetics",
    "jester",
    "golf",
    "moving_mnist",
    "strips",
    "weizmann",
    "nested",
    "plain",
)


def layout_names() -> list[str]:
    """Our own layouts, then those of installed packages, which are not imported."""
    return [*LAYOUT_NAMES, *installed_names(LAYOUTS)]
