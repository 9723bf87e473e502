from __future__ import annotations

import pytest
import torch

from ganforge.callbacks import broadcast
from ganforge.callbacks.checkpoint_saver import CheckpointSaver
from ganforge.core.errors import StorageError
from ganforge.core.events import Evaluated, Saved, State
from ganforge.storage import checkpoints
from ganforge.storage.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path, "moons", "vanilla")


def saved(iteration):
    return Saved(iteration, State({"generator/w": torch.full((2,), float(iteration))}, {"iteration": iteration}))


def test_saves_and_remembers_the_last(folder):
    callback = CheckpointSaver(folder, keep=2)
    assert callback.last is None

    broadcast([Evaluated(1, {}, 0.0), saved(10), saved(20), saved(30)], essential=[callback])

    assert callback.last == folder.checkpoints / "00000030"
    assert [path.name for path in checkpoints.list_checkpoints(folder)] == ["00000030", "00000020"]
    assert checkpoints.load_newest(folder).state.values == {"iteration": 30}


def test_a_failed_save_causes_one_warning_and_training_continues(folder, caplog):
    callback = CheckpointSaver(folder, keep=2)

    with callback as handle:
        handle(saved(10))
        folder.checkpoints.rename(folder.path / "away")
        folder.checkpoints.write_text("in the way")
        handle(saved(20))
        handle(saved(30))
        assert callback.failures == 2
        folder.checkpoints.unlink()
        (folder.path / "away").rename(folder.checkpoints)
        handle(saved(40))

    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"no checkpoint at iteration 20: cannot write {folder.checkpoints}")
    assert caplog.messages[0].endswith(f"training continues, the last checkpoint is {folder.checkpoints / '00000010'}")
    assert callback.last == folder.checkpoints / "00000040"


def test_or_ends_training_where_that_is_wanted(folder):
    folder.checkpoints.rmdir()
    folder.checkpoints.write_text("in the way")

    with pytest.raises(StorageError, match="checkpoints") as caught:
        broadcast([saved(10)], essential=[CheckpointSaver(folder, keep=2, on_save_error="fail")])

    assert caught.value.exit_code == 5
