"""The names of the layouts in `videogan.data.formats`, for code that must not import what reads them."""

from importlib.metadata import entry_points

GROUP = "videogan.layouts"
"""The entry points by which installed packages bring layouts."""

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
    return [*LAYOUT_NAMES, *entry_points(group=GROUP).names]
