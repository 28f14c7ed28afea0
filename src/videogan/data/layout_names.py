"""The names of the layouts in `videogan.data.formats`, for code that must not import what reads them."""

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
