"""A file of the cache that is missing or damaged is made again, once; a whole one is only read."""

from pathlib import Path

import pytest
import torch

from videogan.storage.cached_file import made_once
from videogan.storage.places import RemotePath
from videogan.storage.step_files import DamagedCheckpoint, read_checkpoint


def read(path: Path | RemotePath) -> dict[str, torch.Tensor]:
    return read_checkpoint(path, dict)


@pytest.mark.parametrize("damage", [b"", b"x" * 2000, "cut", "flipped", "folder"])
def test_a_damaged_file_is_named_set_aside_and_made_again(tmp_path: Path, damage: bytes | str):
    path, made = tmp_path / "real-0.pt", []

    def make() -> None:
        made.append(1)
        torch.save({"weight": torch.arange(300)}, path)

    for _ in range(2):
        assert made_once(path, read, make)["weight"].sum() == 44850
    assert len(made) == 1
    content = path.read_bytes()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage == "flipped":
        place = content.index(torch.arange(300).numpy().tobytes()) + 700
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    else:
        path.write_bytes(content[:-500] if damage == "cut" else damage)
    with pytest.warns(RuntimeWarning, match=r"real-0.pt does not load .* aside as real-0.pt.damaged; making it again"):
        assert made_once(path, read, make)["weight"].sum() == 44850
    assert (len(made), path.with_name("real-0.pt.damaged").exists()) == (2, True)
    assert made_once(path, read, make)["weight"].sum() == 44850
    assert len(made) == 2


def test_a_file_that_cannot_be_made_whole_is_an_error(tmp_path: Path):
    path = tmp_path / "real-0.pt"
    with pytest.raises(DamagedCheckpoint, match=r"real-0.pt does not load \(BadZipFile"):
        made_once(path, read, lambda: path.write_bytes(b"half"))


def test_a_damaged_file_on_an_object_store_is_set_aside_too():
    path = RemotePath("memory://cached", "classifiers/real-0.pt")
    path.put(b"half")
    with pytest.warns(RuntimeWarning, match="real-0.pt.damaged"):
        found = made_once(path, read, lambda: path.write_whole(lambda stream: torch.save({"weight": 1}, stream)))
    assert found == {"weight": 1}
    assert path.parent.file_names() == {"real-0.pt", "real-0.pt.damaged"}
