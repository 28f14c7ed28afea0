"""The names of EC2's settings are those of Amazon's own model of its API."""

import pytest

from vgsearch.cluster_check.known_keys import EC2_NODE, PROVIDER, Keys

loaders = pytest.importorskip("botocore.loaders")
SHAPES = loaders.Loader().load_service_model("ec2", "service-2")["shapes"]


def differences(keys: Keys, shape: str) -> dict[str, set[str]]:
    while SHAPES[shape]["type"] == "list":
        shape = SHAPES[shape]["member"]["shape"]
    members = SHAPES[shape]["members"]
    found = {shape: keys.names ^ set(members)} if keys.names ^ set(members) else {}
    for name, below in keys.below.items():
        found |= differences(below, members[name]["shape"])
    return found


def test_a_node_takes_what_run_instances_takes_and_the_launchers_subnets():
    assert differences(EC2_NODE, "RunInstancesRequest") == {"RunInstancesRequest": {"SubnetIds"}}


def test_a_permission_takes_what_ec2_takes():
    permission = PROVIDER["aws"].below["security_group"].below["IpPermissions"]
    assert not differences(permission, "IpPermission")
