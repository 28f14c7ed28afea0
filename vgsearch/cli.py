"""The table of contents of the command line; each command lies in a file of its own, in the order of the journey."""

import os
import sys
import traceback

import typer

from vgsearch.commands import (
    cluster,
    compare,
    confirm,
    data,
    doctor,
    evaluate,
    flow,
    gc,
    report,
    resume,
    sample,
    show,
    spaces,
    status,
    submit,
    train,
    tune,
)

app = typer.Typer(
    name="vgsearch",
    help="Searches the hyperparameters of video GANs on Ray, judged by the Symmetric Similarity Score.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("tune")(tune.tune)
app.command("submit", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(submit.submit)
app.command("resume")(resume.resume)
app.command("status")(status.status)
app.command("confirm")(confirm.confirm)
app.command("show")(show.show)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("sample")(sample.sample)
app.add_typer(data.app, name="data", help="Embedded data sets; import of folders of videos.")
app.add_typer(flow.app, name="flow", help="Optical flow: fit the network that the motion constraint compares by.")
app.command("spaces")(spaces.spaces)
app.add_typer(
    cluster.app, name="cluster", help="Files that start a Ray cluster: copy one out; check it before it costs."
)
app.command("doctor")(doctor.doctor)
app.command("gc")(gc.gc)


def main() -> None:
    """Runs a command. Exit codes: 0 ok, 1 error, 2 usage, 3 no usable trial, 130 interrupted and resumable."""
    try:
        app()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 (the last line of defence, where every error is told)
        # What our own packages raise is written for the user; anything else is a defect and shows where it is.
        if (
            type(error).__module__.partition(".")[0] not in ("vgsearch", "videogan")
            or "VGSEARCH_TRACEBACK" in os.environ
        ):
            traceback.print_exc()
        else:
            print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
