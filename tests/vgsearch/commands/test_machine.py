"""What doctor says of a machine's ports."""

import socket

from vgsearch.commands.machine import RAY_PORTS, diagnose


def ports():
    (finding,) = [finding for finding in diagnose() if finding.what == "ports"]
    return finding


def test_a_port_of_ray_in_use_is_named_and_is_no_blocker():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        taken = other.getsockname()[1]
        RAY_PORTS[taken] = "the test's"
        try:
            finding = ports()
        finally:
            del RAY_PORTS[taken]
    assert not finding.ok
    assert not finding.blocks
    assert f"{taken} (the test's)" in finding.result
    assert str(taken) not in ports().result
