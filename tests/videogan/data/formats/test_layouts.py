import pytest

from videogan.data.formats import FORMATS, layout_of
from videogan.data.formats.contract import ImportOptions, refuse_options
from videogan.data.layout_names import layout_names
from videogan.data.manifest import DataError


@pytest.mark.parametrize("name", FORMATS)
def test_every_layout_keeps_the_contract(name, tmp_path):
    layout = FORMATS[name]
    assert name == layout.NAME
    assert set(ImportOptions.__dataclass_fields__) >= layout.TAKES
    assert layout.recognises(tmp_path) == (name == "plain"), "an empty folder is no data set"
    assert not layout.recognises(tmp_path / "absent")
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match=str(folder)):
            layout.find(folder, ImportOptions())


@pytest.mark.parametrize("name", FORMATS)
def test_an_option_without_effect_is_refused(name):
    values = {"group": ".*", "split_by": "group", "fold": 1}
    for option, value in values.items():
        options = ImportOptions(**{option: value})
        if option in FORMATS[name].TAKES:
            refuse_options(FORMATS[name], options)
        else:
            with pytest.raises(DataError, match=f"--{option.replace('_', '-')} has no effect on the layout {name}"):
                refuse_options(FORMATS[name], options)


def test_a_missing_folder_is_an_error_before_any_layout_is_guessed(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        layout_of(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "remedy"), [("a.zip", "Unpack it"), ("a.tar.gz", "Unpack it"), ("a.mp4", "folder that")]
)
def test_a_file_in_place_of_a_folder_is_told_what_to_do(tmp_path, name, remedy):
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=f"{name}: this is a file, not a folder. .*{remedy}"):
        layout_of(tmp_path / name)


def test_the_names_are_known_without_the_layouts():
    assert list(FORMATS) == layout_names()
