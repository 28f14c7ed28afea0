"""`ray up` of cluster/on_premises.yaml over ssh to two hosts in namespaces, a sweep on them, and `ray down`."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.machine import BY_DISTANCE, ROOT, TINY, VGSEARCH
from tests.end_to_end.namespaces import Namespace, bridge, needs_namespaces
from vgsearch.experiment.ledger import read_ledger
from vgsearch.experiment.paths import Experiment
from videogan.data.synthetic import make_moving_shapes

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    needs_namespaces,
    pytest.mark.skipif(
        None in (SSHD, shutil.which("ssh"), shutil.which("rsync")),
        reason="needs openssh-server, openssh-client and rsync",
    ),
    pytest.mark.skipif(
        ROOT.is_relative_to("/tmp"), reason="each host has its own /tmp, so this folder must be elsewhere"
    ),
]
SECONDS = 900
"""The longest that a command may take."""
PLACES = [Path("/home/ray"), Path("/mnt/vgsearch"), Path("/run/sshd")]
"""Folders that each host covers with its own; made for the drill where this machine lacks them."""
# A host has its own disk, the shared folder, and the stand-in for Docker first on the PATH of root. It sees its own
# processes alone, so that `ray stop` ends no others. Its user's home, where ssh looks for ~, is that of the image.
ALONE = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
BOOT = """
mount -t tmpfs none /home/ray && touch /home/ray/.bashrc && mount --bind {files}/passwd /etc/passwd &&
mount --bind {files}/shared /mnt/vgsearch && mount --bind {files}/bin /usr/local/sbin && mount -t tmpfs none /tmp &&
exec {sshd} -D -e -f {files}/sshd_config -o ListenAddress={address}
"""
# Hosts have no internet. The image's Python finds the packages of this one, except vgsearch, which the wheel brings.
SET_UP_IMAGE = """#!/bin/sh
set -e
{python} -m venv --without-pip --symlinks /home/ray/venv
echo {files}/packages > $(/home/ray/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/image.pth
printf '#!/bin/sh\\nexec /home/ray/venv/bin/python -m pip "$@"\\n' > /home/ray/venv/bin/pip
printf '#!/bin/sh\\nexec /home/ray/venv/bin/python -m ray.scripts.scripts "$@"\\n' > /home/ray/venv/bin/ray
chmod +x /home/ray/venv/bin/pip /home/ray/venv/bin/ray
"""


class Host(Namespace):
    """A namespace with an ssh server, its own disk and its own processes."""

    def __init__(self, number: int, files: Path) -> None:
        super().__init__(number)
        boot = BOOT.format(files=files, sshd=SSHD, address=self.address).strip().replace("\n", " ")
        with open(files / f"{self.name}.log", "w") as log:
            command = ["ip", "netns", "exec", self.name, *ALONE, "sh", "-c", boot]
            self.first = subprocess.Popen(command, stdout=log, stderr=log)

    def remove(self) -> None:
        self.power_off()
        self.first.wait(60)
        super().remove()

    @property
    def commands(self) -> str:
        """The command lines of the host's processes."""
        pids = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True).stdout.split()
        return subprocess.run(["ps", "-o", "args=", "-p", ",".join(pids)], capture_output=True, text=True).stdout


@pytest.fixture
def files() -> Iterator[Path]:
    """What hosts see of this machine's disk, apart from /tmp, which is their own."""
    made = [place for place in PLACES if not place.exists()]
    for place in made:
        place.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="vgsearch-ray-up-", dir="/var/tmp") as folder:
        yield Path(folder)
    for place in made:
        place.rmdir()


@pytest.fixture
def laptop(files: Path) -> dict[str, str]:
    """The environment of the user's own machine, with a key, a token and the wheel; hosts are ready for them."""
    home = files / "laptop"
    (home / ".ssh").mkdir(parents=True)
    for key in (home / ".ssh/id_ed25519", files / "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (home / ".ray").mkdir()
    (home / ".ray/auth_token").write_text(secrets.token_hex(32))
    settings = {"HostKey": files / "host_key", "AuthorizedKeysFile": home / ".ssh/id_ed25519.pub", "PidFile": "none",
                "StrictModes": "no", "UsePAM": "no", "PermitRootLogin": "prohibit-password"}  # fmt: skip
    (files / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    users = Path("/etc/passwd").read_text()
    (files / "passwd").write_text(re.sub("^(root:.*):[^:]*:([^:]*)$", r"\1:/home/ray:\2", users, flags=re.MULTILINE))
    (files / "shared").mkdir()
    _make_image(files)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "wheel", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--wheel-dir", home / "wheel", ROOT], check=True)
    shutil.copy(ROOT / "constraints.txt", home / "wheel")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "VGSEARCH_"))}
    temporary = files / "tmp"
    temporary.mkdir()
    return kept | {"HOME": str(home), "TMPDIR": str(temporary), "RAY_TMPDIR": str(temporary),
                   "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}  # fmt: skip


def _make_image(files: Path) -> None:
    """The stand-in for Docker, and the packages of the image: those of this Python without vgsearch."""
    (files / "bin").mkdir()
    shutil.copy(Path(__file__).with_name("docker_stand_in.sh"), files / "bin/docker")
    set_up = files / "bin/set-up-image"
    set_up.write_text(SET_UP_IMAGE.format(python=sys.executable, files=files))
    set_up.chmod(0o755)
    path = "/home/ray/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/bin:/bin"  # the host's shells read it too
    environment = {"PATH": path, "IMAGE_SETUP": set_up, "PIP_NO_INDEX": 1, "OMP_NUM_THREADS": 1,
                   "RAY_worker_niceness": 0}  # fmt: skip
    lines = [f"export {name}={value}\n" for name, value in environment.items()]
    (files / "bin/image.env").write_text("".join(lines))
    (files / "packages").mkdir()
    folders = [Path(path) for path in sys.path if path.endswith("site-packages")]
    for package in (each for folder in [Path(sysconfig.get_path("purelib")), *folders] for each in folder.iterdir()):
        link = files / "packages" / package.name
        if not (package.name.startswith(("vgsearch", "videogan", "__editable__", "_")) or link.exists()):
            link.symlink_to(package)


def ran(command: list[str | Path], environment: dict[str, str], cwd: Path) -> str:
    """The output of a command of the laptop that must succeed. It has its own /tmp and processes, which end with it."""
    own_tmp = ["sh", "-c", 'mount -t tmpfs none /tmp && exec "$@"', "sh"]
    with open(cwd / "output.log", "w+") as log:
        code = subprocess.run([*ALONE, *own_tmp, *command], env=environment, cwd=cwd, stdout=log, timeout=SECONDS,
                              stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT).returncode  # fmt: skip
        log.seek(0)
        output = log.read()
    assert code == 0, output
    return output


def test_a_sweep_runs_on_hosts_that_ray_up_started_and_ray_down_leaves_nothing(files: Path, laptop: dict[str, str]):
    home = Path(laptop["HOME"])
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    with ExitStack() as stack:
        stack.enter_context(bridge())
        hosts = []
        for number in (2, 3):
            hosts.append(Host(number, files))
            stack.callback(hosts[-1].remove)
        fills = {"FILL_HEAD_IP": hosts[0].address, "FILL_WORKER_IP": hosts[1].address, "FILL_SSH_USER": "root"}
        filled = [option for name, value in fills.items() for option in ("--fill", f"{name}={value}")]
        ran([*VGSEARCH, "cluster", "init", "on_premises", *filled], laptop, home)
        written = (home / "on_premises.yaml").read_text()  # ssh looks for ~ in the machine's user, not in $HOME
        (home / "on_premises.yaml").write_text(written.replace("~/.ssh/", f"{home}/.ssh/"))
        ran([*VGSEARCH, "cluster", "check", "on_premises.yaml"], laptop, home)
        make_moving_shapes(files / "shared/data", n_clips_each=1, n_groups=16)

        ran([*ray, "up", "-y", "--no-config-cache", "on_premises.yaml"], laptop, home)
        wait_for(lambda: "raylet" in hosts[1].commands, hosts)
        search = ["--data", "/mnt/vgsearch/data", "--out", "/mnt/vgsearch/runs", "--name", "s", "--trials", "2"]
        steps = ["--set", "loop.n_steps=10", "--set", "loop.look_every=5", "--no-confirm-best"]
        tune = ["vgsearch", "tune", "mvt_tsa", "--address", "auto", *search, *TINY, *steps, *BY_DISTANCE]
        output = ran([*ray, "exec", "--no-config-cache", "on_premises.yaml", " ".join(tune)], laptop, home)
        record = read_ledger(Experiment.at(files / "shared/runs/s").events)
        assert record.ended == "finished", output
        assert {trial.state for trial in record.trials.values()} <= {"done", "pruned"}, output
        assert record.best is not None, output

        ran([*ray, "down", "-y", "on_premises.yaml"], laptop, home)
        wait_for(lambda: not any("raylet" in host.commands or "gcs_server" in host.commands for host in hosts), hosts)


def wait_for(reached, hosts: list[Host], seconds: float = 600) -> None:
    """Wait until `reached()`."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "\n".join(host.commands for host in hosts)
        time.sleep(1)
