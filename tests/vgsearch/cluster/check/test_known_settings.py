"""The names of EC2's settings are those of Amazon's own model of its API."""

import pytest
import yaml

from vgsearch.cluster.check.known_settings import Names, node_names
from vgsearch.cluster.init import shipped_files

loaders = pytest.importorskip("botocore.loaders")
MODEL = loaders.Loader().load_service_model("ec2", "service-2")
SHAPES = MODEL["shapes"]


def differences(names: Names, shape: str) -> dict[str, set[str]]:
    while SHAPES[shape]["type"] == "list":
        shape = SHAPES[shape]["member"]["shape"]
    members = SHAPES[shape]["members"]
    found = {shape: set(names) ^ set(members)} if set(names) ^ set(members) else {}
    for name, below in names.items():
        if below:
            found |= differences(below, members[name]["shape"])
    return found


def test_node_config_has_the_settings_of_run_instances_and_the_launchers_subnets():
    assert differences(node_names()["aws"], "RunInstancesRequest") == {"RunInstancesRequest": {"SubnetIds"}}


def test_an_ip_permission_has_the_settings_of_ec2():
    assert not differences(node_names()["ip_permission"], "IpPermission")


def test_ec2_accepts_each_machine_of_the_shipped_file():
    from botocore.model import ServiceModel
    from botocore.validate import ParamValidator

    shape = ServiceModel(MODEL).operation_model("RunInstances").input_shape
    types = yaml.safe_load(shipped_files()["aws"].read_text())["available_node_types"]
    assert len(types) == 3
    for node_type in types.values():
        request = {**node_type["node_config"], "MinCount": 1, "MaxCount": 1}
        assert not ParamValidator().validate(request, shape).generate_report()
