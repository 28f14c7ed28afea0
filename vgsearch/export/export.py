"""Writes a trial's model for others: weights, configuration, model card, command and sample clips."""

import json
from pathlib import Path

from vgsearch.experiment.chosen_checkpoint import chosen_checkpoint, chosen_trial
from vgsearch.experiment.opened_trial import opened_checkpoint
from vgsearch.export.card import Exported, model_card
from vgsearch.report.experiment import training_command
from vgsearch.sampling.loose_clips import write_loose_clips
from vgsearch.sampling.pictures import PictureSettings, knows_classes
from vgsearch.sampling.sample import class_names
from vgsearch.space.sweep import load_sweep
from vgsearch.space.yaml_text import write_yaml
from videogan.config import ConfigurationError
from videogan.sampling.sampling import sampling_copy
from videogan.storage.atomic import folder_written_whole, write_atomically
from videogan.storage.places import Place
from videogan.training.checkpoint import generator_of, generator_only, load_checkpoint, save_checkpoint
from videogan.training.exported_model import CLASSES, GENERATOR

CONFIG, CARD, COMMAND, CLIPS = "config.yaml", "README.md", "command.sh", "clips"
CLIPS_OF_CLASS = 4


def export(where: Place, folder: Path) -> list[Path]:
    """Write the best model of EXP, or that of EXP/TRIAL, into `folder`; returns the files.

    Raises ConfigurationError if the folder holds anything, or if there is no such model. An export that fails leaves
    nothing.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder} must be a new or empty folder; choose another DIR.")
    experiment, record, trial = chosen_trial(where)
    found = chosen_checkpoint(experiment.place / trial.trial_id)
    with opened_checkpoint(found) as file:
        checkpoint = load_checkpoint(file)
        generator, config = generator_of(checkpoint, file)
        names, _ = class_names(file, checkpoint.trained_on, config.model.n_classes)
        command = training_command(load_sweep(experiment.sweep), trial)
    n_parameters = sum(parameter.numel() for parameter in generator.parameters())
    exported = Exported(experiment, record, trial, checkpoint.step, n_parameters, names, command)
    texts = {
        CONFIG: write_yaml(config.model_dump(mode="json")),
        CARD: model_card(exported, config),
        COMMAND: f"#!/bin/sh\n# trains this model again\n{command}\n",
        CLASSES: json.dumps(names, indent=1) + "\n",
    }
    sampler = sampling_copy(generator, config.model.n_classes, config.evaluation.standing_batches, seed=config.seed)
    labels = dict(enumerate(names)) if knows_classes(generator) else {}
    settings = PictureSettings(labels, n_codes=1, n_steps=1, seed=0, n_frames=config.model.n_frames)
    with folder_written_whole(folder) as written:
        write_atomically(written / GENERATOR, lambda stream: save_checkpoint(generator_only(checkpoint), stream))
        for name, text in texts.items():
            _write(written / name, text)
        clips = write_loose_clips(sampler, written / CLIPS, settings, CLIPS_OF_CLASS, lambda done, total: None)
        files = [Path(GENERATOR), *map(Path, texts), *(clip.relative_to(written) for clip in clips)]
    return [folder / file for file in files]


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda stream: stream.write(text.encode()))
