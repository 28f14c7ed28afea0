import gc
import weakref

from tests.builders import NoiseClips, tiny_sweep
from vgsearch.runtime.sweep.executors import memory_freed
from videogan.training.loop import train


def test_the_networks_of_an_ended_trial_do_not_wait_for_the_collector():
    sweep = tiny_sweep(overrides={"loop.n_steps": 1, "model.channels": 2, "model.gru_hidden": 8})
    config = sweep.run_config(sweep.paper_points[0], 0)

    def networks_of_a_training() -> list[weakref.ref]:
        (progress,) = train(config, NoiseClips.of(config))
        training = progress.training
        return [weakref.ref(network) for network in (training.generator, *training.discriminators.values())]

    gc.disable()
    try:
        with memory_freed():
            inside = networks_of_a_training()
        assert [network() for network in inside] == [None] * 3
    finally:
        gc.enable()
