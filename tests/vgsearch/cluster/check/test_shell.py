"""Variables, flags and mounts are found in shell commands."""

import pytest

from vgsearch.cluster.check import shell


@pytest.mark.parametrize(
    "line",
    [
        "--env NAME=value",
        "-e NAME='value'",
        'export NAME="value"; ray start',
        "NAME=value ray start",
        "--env=NAME=value",
    ],
)
def test_a_variable_is_found_in_every_notation(line: str):
    assert shell.assignments(line)["NAME"] == "value"


def test_only_variables_written_to_a_profile_last():
    assert shell.lasting("echo 'export A=1' >> ~/.bashrc")
    assert not shell.lasting("export A=1")


def test_flags_are_read_with_and_without_a_value():
    flags = shell.flags("ray start --head --port=6379 --dashboard-host 0.0.0.0 --block; true")
    assert flags == {"head": "", "port": "6379", "dashboard-host": "0.0.0.0", "block": ""}


@pytest.mark.parametrize(
    "line",
    [
        "mountpoint -q /mnt/x",
        "sudo mount -t nfs server:/export /mnt/x",
        "mount.nfs4 server:/export /mnt/x",
        "mountpoint /mnt/x",
    ],
)
def test_a_mounted_folder_is_found(line: str):
    assert list(shell.mounted_folders(line)) == ["/mnt/x"]


@pytest.mark.parametrize("option", ["-v /a:/b", "--volume /a:/b:ro", "--volume=/a:/b"])
def test_a_volume_is_found(option: str):
    assert list(shell.volumes([option])) == [("/a", "/b")]
