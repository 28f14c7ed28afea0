"""doctor names the ports that are in use."""

import socket

from vgsearch.commands.machine import RAY_PORTS, MachineCheck, diagnose


def ports() -> MachineCheck:
    (check,) = [check for check in diagnose() if check.what == "ports"]
    return check


def test_a_port_of_ray_in_use_is_named_and_does_not_block():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        taken = other.getsockname()[1]
        RAY_PORTS[taken] = "the test's"
        try:
            check = ports()
        finally:
            del RAY_PORTS[taken]
    assert not check.ok
    assert not check.blocks
    assert f"{taken} (the test's)" in check.finding
    assert str(taken) not in ports().finding
