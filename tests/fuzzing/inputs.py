"""Damaged inputs of each kind, and what reads them as the commands do.

Each function takes a random generator and an empty folder, makes one input and reads it. An input may be read or
refused by an error of our own; any other exception is a defect.
"""

import io
import json
import math
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from tests.builders import tiny_sweep
from tests.fuzzing.mutations import STRANGE, damaged_bytes, damaged_text, damaged_value
from tests.recorded_trials import events_of
from vgsearch.experiment.ledger import read_ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.experiment.scoring import notes_on_scores
from vgsearch.space.space import installed_spaces, load_space, parse_overrides
from vgsearch.space.sweep import Sweep, load_sweep
from vgsearch.space.yaml_text import read_yaml, write_yaml
from vgsearch.terminal.console import Terminal
from vgsearch.terminal.signal_line import search_signal_lines
from vgsearch.terminal.sweep_table import sweep_table, table_lines
from vgsearch.terminal.trial import print_trial
from videogan.config import parse_config, with_overrides
from videogan.data.decode import inspect
from videogan.data.formats import layout_of
from videogan.data.formats.contract import ImportOptions
from videogan.data.manifest import MANIFEST_NAME, SCHEMA, read_manifest, write_manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.data.windows import select_clips
from videogan.families import FAMILIES
from videogan.training.checkpoint import generator_from
from videogan.training.run_config import RunConfig

Reads = Callable[[random.Random, Path], None]


@cache
def shipped(name: str) -> tuple[str, dict[str, Any]]:
    """The text and the values of a shipped search space."""
    text = installed_spaces()[name].read_text("utf-8")
    return text, read_yaml(text, name)


@cache
def sweep() -> Sweep:
    return tiny_sweep("mvt_tsa")


@cache
def run_values() -> dict[str, Any]:
    return sweep().run_config(sweep().paper_points[0], 0).model_dump(mode="json")


def spaces(rng: random.Random, folder: Path) -> None:
    """A shipped space with damaged text or values, as `tune FILE` reads it."""
    text, values = shipped(rng.choice(("mvt_tsa", "tgan_svc", "mocogan", "table2", "moving_blobs")))
    damaged = damaged_text(text, rng) if rng.random() < 0.5 else write_yaml(damaged_value(values, rng))
    file = folder / "space.yaml"
    file.write_bytes(damaged_bytes(text.encode(), rng) if rng.random() < 0.2 else damaged.encode())
    space = load_space(str(file))
    for budget in space.budgets:
        found = tiny_sweep(space, budget)
        found.run_config(found.paper_points[0], 0)


def sweeps(rng: random.Random, folder: Path) -> None:
    """A damaged sweep.yaml, as `resume` reads it."""
    (folder / "sweep.yaml").write_text(write_yaml(damaged_value(sweep().model_dump(mode="json"), rng)), "utf-8")
    found = load_sweep(folder / "sweep.yaml")
    found.run_config(found.paper_points[0], 0)


def configs(rng: random.Random, folder: Path) -> None:
    """A run's configuration with damaged values."""
    parse_config(RunConfig, damaged_value(run_values(), rng), "config.yaml")


STRANGE_TEXTS = [json.dumps(value) for value in STRANGE] + [
    "1e-1", "010", "0x1", "1:30", "on", ".inf", "-.inf", ".nan", "[1", "{a: 1}", "&a [*a]", "!!int x", "- 1", "a: b: c", "9" * 30,
]  # fmt: skip


def settings(rng: random.Random, folder: Path) -> None:
    """One to three texts of --set, some of them sensible."""
    known = {f"{section}.{name}": value for section, part in run_values().items() if isinstance(part, dict)
             for name, value in part.items()} | {"seed": 1}  # fmt: skip
    texts = []
    for _ in range(rng.randint(1, 3)):
        path, value = rng.choice(list(known.items()))
        path = rng.choice([damaged_text(path, rng), path.partition(".")[0], path, path, path])
        written = json.dumps(value) if rng.random() < 0.6 else rng.choice(STRANGE_TEXTS)
        texts.append(f"{path}={damaged_text(written, rng) if rng.random() < 0.2 else written}")
    parse_config(RunConfig, with_overrides(run_values(), parse_overrides(texts)), "--set")


def yaml_values(rng: random.Random, folder: Path) -> None:
    """Plain values written and read again: they must be the same."""
    values = (
        {key: value for key, value in damaged_value(run_values(), rng).items() if key} if rng.random() < 0.9 else {}
    )
    text = write_yaml(values, in_one_line=rng.random() < 0.5)
    if any(character in text for character in ("\\0", "\\x00")):  # no file of text holds it
        return
    assert repr(read_yaml(text, "values.yaml")) == repr(values), text


def manifests(rng: random.Random, folder: Path) -> None:
    """A manifest with damaged rows, columns, entries or bytes, as `tune --data` reads it."""
    rows = [
        {"path": f"{split}{n}.mp4", "label": "ab"[n % 2], "group": f"{split}{n}", "split": split, "n_frames": 20, "fps": 25.0,
         "width": 64, "height": 64, "codec": "h264", "sha": f"{split}{n}", "skipped": None}
        for split in ("train", "select", "test") for n in range(4)
    ]  # fmt: skip
    table, file = write_manifest(folder, rows).table, folder / MANIFEST_NAME
    kind = rng.choice(("rows", "column", "entries", "bytes"))
    if kind == "bytes":
        file.write_bytes(damaged_bytes(file.read_bytes(), rng))
    else:
        pq.write_table(_damaged_table(table, kind, rng), file)
    manifest = read_manifest(folder)
    assert manifest.digest
    json.dumps([manifest.classes, manifest.mirrored, manifest.fold, manifest.lack_of_select])
    for split in ("train", manifest.search_split):
        select_clips(manifest, split, preprocessing_named("plain_64"), 16)


BAD_ENTRIES = ("", "[]", "{}", "[1]", '["a", "a"]', '{"a": 1}', "x", "[" * 99, b"\xff")
BAD_CELLS = {"int32": (0, -1, 2**31 - 1, None), "double": (math.nan, math.inf, -1.0, None)}


def _damaged_table(table: pa.Table, kind: str, rng: random.Random) -> pa.Table:
    if kind == "entries":
        return table.replace_schema_metadata({rng.choice(("classes", "mirrored", "fold")): rng.choice(BAD_ENTRIES)})
    name = rng.choice(SCHEMA.names)
    values, column_type = table[name].to_pylist(), SCHEMA.field(name).type
    if kind == "rows":
        values[rng.randrange(len(values))] = rng.choice(
            BAD_CELLS.get(str(column_type), ("", "x", "../x", "a\0b", None))
        )
        column = pa.array(values, type=column_type)
    else:
        column = rng.choice([pa.nulls(len(values)), pa.array(range(len(values))), pa.array([str(v) for v in values])])
    return table.set_column(table.schema.get_field_index(name), name, column)


LISTS = {
    "csv": {"videos.csv": "file,label\nrun/a.mp4,run\nrun/b.mp4,walk\n", "run/a.mp4": "x", "run/b.mp4": "x"},
    "ucf101": {
        "ucfTrainTestlist/trainlist01.txt": "run/v_Run_g01_c01.avi 1\n", "ucfTrainTestlist/classInd.txt": "1 run\n",
        "ucfTrainTestlist/testlist01.txt": "run/v_Run_g02_c01.avi\n",
        "run/v_Run_g01_c01.avi": "x", "run/v_Run_g02_c01.avi": "x",
    },
    "jester": {"jester-v1-train.csv": "1;Swiping Left\n", "jester-v1-validation.csv": "2;Swiping Left\n",
               "jester-v1-labels.csv": "Swiping Left\n", "1/00001.jpg": "x", "2/00001.jpg": "x"},
    "plain": {"run/a.mp4": "x", "walk/b.mp4": "x", "split.csv": "run/a.mp4,train\nwalk/b.mp4,test\n"},
}  # fmt: skip
"""Small data folders of some layouts: their files and contents."""


def lists(rng: random.Random, folder: Path) -> None:
    """A data folder of which one list file is damaged, as `data import` reads it."""
    files = LISTS[rng.choice(list(LISTS))]
    chosen = rng.choice([name for name in files if name.endswith((".csv", ".txt"))])
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    damaged = files[chosen].encode(), damaged_text(files[chosen], rng).encode()
    (folder / chosen).write_bytes(damaged_bytes(damaged[0], rng) if rng.random() < 0.5 else damaged[1])
    layout_of(folder).find(folder, ImportOptions())


@cache
def stills() -> dict[str, bytes]:
    """Pictures, an animation and an array that decode, by file name."""
    made: dict[str, bytes] = {}
    picture = Image.fromarray(np.arange(64 * 128 * 3, dtype=np.uint8).reshape(64, 128, 3))
    for name, kind in (("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.gif", "GIF")):
        stream = io.BytesIO()
        more = {"save_all": True, "append_images": [picture.rotate(9)]} if kind == "GIF" else {}
        picture.save(stream, kind, **more)  # type: ignore[arg-type]  # Pillow's options depend on the format
        made[name] = stream.getvalue()
    stream = io.BytesIO()
    np.save(stream, np.zeros((4, 2, 64, 64), np.uint8))
    return made | {"a.npy": stream.getvalue()}


def pictures(rng: random.Random, folder: Path) -> None:
    """A damaged picture, animation or array, as `data import` inspects it."""
    name = rng.choice(list(stills()))
    content = stills()[name]
    damaged = damaged_bytes(content[:128], rng) + content[128:] if rng.random() < 0.5 else damaged_bytes(content, rng)
    (folder / name).write_bytes(damaged)
    inspect(folder / (f"{name}#1" if name.endswith(".npy") else name))


@cache
def events() -> list[dict[str, Any]]:
    found = events_of(sweep(), 3, lambda point: 0.5)
    health = {"states": {"mode collapse": "3 of 4 classes"}, "vitals": {"freezing": 0.1}}
    found = [event | {"health": health} if event["event"] == "look" else event for event in found]
    return [{"time": float(number)} | event for number, event in enumerate(found)]


def ledgers(rng: random.Random, folder: Path) -> None:
    """A ledger with one damaged event, as `status` and `show` read it."""
    lines = [dict(event) for event in events()]
    number = rng.randrange(len(lines))
    lines[number] = damaged_value(lines[number], rng)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    ledger = Experiment.at(folder).ledger
    ledger.write_bytes(damaged_bytes(text.encode(), rng) if rng.random() < 0.2 else text.encode())
    record, console = read_ledger(ledger), Terminal(quiet=True)
    json.dumps([trial.to_json() for trial in record.trials.values()])
    assert f"{record.steps_saved}{record.best}{record.next_index}"
    table_lines(sweep_table(record, 100))
    for trial in record.trials.values():
        print_trial(record, trial, Experiment.at(folder).trial(trial.trial_id), console)
    assert search_signal_lines(record) is not None
    assert notes_on_scores(record) is not None


@cache
def checkpoint() -> dict[str, Any]:
    """The content of the checkpoint of a tiny generator."""
    config = parse_config(
        RunConfig, {"model": {"family": "vgan", "n_classes": 4, **FAMILIES["vgan"].facts.tiny}, **_BY_KVD}, "tiny"
    )
    networks = FAMILIES["vgan"].build(config.model)
    states = {name: network.state_dict() for name, network in networks.discriminators.items()}
    return {
        "step": 1, "n_clips_seen": 2, "trained_on": "0" * 64, "config": config.model_dump(mode="json"),
        "generator": dict(networks.generator.state_dict()), "discriminators": {name: dict(state) for name, state in states.items()},
        "optimiser_g": {}, "optimiser_d": {}, "average": None,
    }  # fmt: skip


_BY_KVD = {"evaluation": {"objective": "-kvd"}}


def checkpoints(rng: random.Random, folder: Path) -> None:
    """A checkpoint with a damaged field or damaged bytes, as `sample` and `evaluate` read it."""
    file = folder / "step00000001.pt"
    if rng.random() < 0.7:
        torch.save(damaged_value(checkpoint(), rng), file)
    else:
        stream = io.BytesIO()
        torch.save(checkpoint(), stream)
        file.write_bytes(damaged_bytes(stream.getvalue(), rng))
    generator_from(file)


KINDS: dict[str, tuple[Reads, int]] = {
    "search spaces": (spaces, 8), "sweep.yaml": (sweeps, 6), "configurations": (configs, 15), "texts of --set": (settings, 20),
    "YAML values": (yaml_values, 8), "manifests": (manifests, 11), "lists": (lists, 8), "pictures and arrays": (pictures, 10),
    "ledgers": (ledgers, 12), "checkpoints": (checkpoints, 2),
}  # fmt: skip
"""Each kind of input: what makes and reads one, and its share of all inputs in percent."""
