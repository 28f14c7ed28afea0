import pytest

from videogan.data.formats import layout_of
from videogan.data.formats.contract import ImportOptions
from videogan.data.formats.weizmann import FOLDS
from videogan.data.manifest import DataError

LAYOUT = "weizmann"

PUBLISHED = [
    f"{person}_{action}.avi" for person in ("daria", "ido", "lena", "shahar") for action in ("bend", "wave1", "wave2")
] + ["lena_run1.avi", "lena_run2.avi", "lena_walk1.avi", "lena_skip2.avi", "daria_run.avi", "ido_pjump.avi"]


@pytest.fixture(params=["one folder", "a folder per action"])
def weizmann(request, tmp_path):
    for name in PUBLISHED:
        action = name[:-4].partition("_")[2]
        path = tmp_path / action / name if request.param == "a folder per action" else tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def test_lenas_second_run_is_a_run_but_the_second_wave_is_another_action(weizmann, find):
    labels = {video.path.stem: video.label for video in find(weizmann).videos}
    assert labels["lena_run1"] == labels["lena_run2"] == labels["daria_run"] == "run"
    assert (labels["lena_walk1"], labels["lena_skip2"], labels["ido_pjump"]) == ("walk", "skip", "pjump")
    assert {labels["lena_wave1"], labels["lena_wave2"]} == {"wave1", "wave2"}


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_a_fold_leaves_three_of_nine_persons_for_test(weizmann, fold, find):
    found = find(weizmann, fold=fold)
    assert {video.group for video in found.videos} == {"daria", "ido", "lena", "shahar"}
    for video in found.videos:
        assert video.split == ("test" if video.group in FOLDS[fold - 1] else "train")
    assert FOLDS[fold - 1][0] in found.split_rule


def test_every_person_is_for_test_in_one_fold():
    assert len({person for persons in FOLDS for person in persons}) == 9


def test_an_unknown_name_is_skipped_if_the_layout_is_given(weizmann, find):
    (weizmann / "daria_swim.avi").touch()
    assert layout_of(weizmann).NAME == "plain"
    found = layout_of(weizmann, "weizmann").find(weizmann, ImportOptions())
    assert [video.path.name for video in found.videos if video.skipped] == ["daria_swim.avi"]
    with pytest.raises(DataError, match="no video is named"):
        layout_of(weizmann, "weizmann").find(weizmann / "nowhere", ImportOptions())


def test_class_folders_of_mp4_files_with_mirrored_copies_are_plain_folders(tmp_path, shared_data, find):
    for name in ("daria_bend.mp4", "daria_bend_flip.mp4", "ido_bend.mp4"):
        (tmp_path / "bend").mkdir(exist_ok=True)
        (tmp_path / "bend" / name).touch()
    assert layout_of(tmp_path).NAME == layout_of(shared_data / "weizmann4").NAME == "plain"
    groups = [video.group for video in layout_of(tmp_path).find(tmp_path, ImportOptions()).videos]
    assert groups == ["daria", "daria", "ido"]
