"""The names of EC2's settings are those of Amazon's own model of its API."""

import pytest
import yaml

from vgsearch.cluster.check.known_keys import EC2_NODE, PROVIDER, Keys
from vgsearch.cluster.init import shipped_files

loaders = pytest.importorskip("botocore.loaders")
MODEL = loaders.Loader().load_service_model("ec2", "service-2")
SHAPES = MODEL["shapes"]


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


def test_each_machine_of_the_shipped_file_is_one_that_ec2_would_read():
    from botocore.model import ServiceModel
    from botocore.validate import ParamValidator

    shape = ServiceModel(MODEL).operation_model("RunInstances").input_shape
    types = yaml.safe_load(shipped_files()["aws"].read_text())["available_node_types"]
    assert len(types) == 3
    for node_type in types.values():
        request = {**node_type["node_config"], "MinCount": 1, "MaxCount": 1}
        assert not ParamValidator().validate(request, shape).generate_report()
