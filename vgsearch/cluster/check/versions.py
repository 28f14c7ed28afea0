"""All nodes run one Ray and one Python, those that vgsearch was made for: they exchange pickles."""

import importlib.metadata
import re
from collections.abc import Iterator
from dataclasses import dataclass

from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.plan import ClusterPlan, NodeGroup, Told

_IMAGE = re.compile(r"(?:.*/)?rayproject/ray(?:-ml)?(?::(?P<tag>[\w.-]+))?(?:@.*)?")
_TAG = re.compile(r"(?P<ray>\d+\.\d+\.\d+)(?:-py(?P<major>\d)(?P<minor>\d+))?(?:-(?P<platform>\w+))?.*")
_PINNED = re.compile(r"\bray(?:\[[\w,-]*\])?\s*==\s*([\d.]+)")


@dataclass(frozen=True)
class RayImage:
    """What the tag of one of Ray's own images says."""

    told: Told
    ray: str | None
    python: tuple[int, int] | None
    platform: str | None


def needed_ray() -> str:
    """The series of Ray that vgsearch depends on, e.g. '2.60'."""
    requirements = importlib.metadata.requires("vgsearch") or []
    return next(match[1] for text in requirements if (match := re.match(r"ray\b.*?==(\d+\.\d+)\.\*", text)))


def needed_python() -> tuple[int, int]:
    """The oldest Python that vgsearch runs on."""
    major, minor = re.findall(r"\d+", importlib.metadata.metadata("vgsearch")["Requires-Python"])[:2]
    return int(major), int(minor)


def ray_image(group: NodeGroup) -> RayImage | None:
    """The group's image where it is one of Ray's own; others hold what their makers put in."""
    match = _IMAGE.fullmatch(group.image.text) if group.image else None
    if match is None:
        return None
    tag = _TAG.fullmatch(match["tag"] or "")
    if tag is None:
        return RayImage(group.image, None, None, None)
    python = (int(tag["major"]), int(tag["minor"])) if tag["major"] else None
    return RayImage(group.image, tag["ray"], python, tag["platform"])


def ray_is_the_one_tested(plan: ClusterPlan) -> Iterator[Finding]:
    """ray-version: images, setup and KubeRay's rayVersion name one Ray of the series that vgsearch depends on."""
    series = needed_ray()
    told = {(image.told.line, image.ray or image.told.text) for group in plan.groups if (image := ray_image(group))} | {
        (told.line, pin) for group in plan.groups for told in group.setup for pin in _PINNED.findall(told.text)
    }
    if plan.ray_version:
        told.add((plan.ray_version.line, plan.ray_version.text))
    wrong = [(line, version) for line, version in sorted(told) if not f"{version}.".startswith(f"{series}.")]
    for line, version in wrong[:1]:
        remedy = f"Name {series}.0, e.g. rayproject/ray:{series}.0-py{''.join(map(str, needed_python()))}-gpu."
        yield Finding("ray-version", line, f"every node must run Ray {series}", version, remedy)
    if not wrong and len({version for _, version in told}) > 1:
        line = max(told)[0]
        versions = " and ".join(sorted({version for _, version in told}))
        yield Finding("ray-version", line, "all nodes must run the same Ray", versions, "Name one of them everywhere.")


def python_is_one(plan: ClusterPlan) -> Iterator[Finding]:
    """python-version: images name one Python, new enough for vgsearch."""
    oldest = needed_python()
    images = [image for group in plan.groups if (image := ray_image(group)) and image.ray]
    tag = f"-py{oldest[0]}{oldest[1]}"
    for image in images:
        if image.python is None or image.python < oldest:
            came = f"{image.told.text}, {'which leaves the Python open' if image.python is None else 'which is older'}"
            must = f"the image must have Python {oldest[0]}.{oldest[1]} or newer"
            yield Finding("python-version", image.told.line, must, came, f"Name it in the tag, e.g. {tag}.")
            return
    if len({image.python for image in images}) > 1:
        came = " and ".join(sorted({image.told.text for image in images}))
        must = "all nodes must run the same Python"
        yield Finding("python-version", images[-1].told.line, must, came, f"Use {tag} in every tag.")


def gpu_nodes_have_a_gpu_image(plan: ClusterPlan) -> Iterator[Finding]:
    """cpu-image: a container of Ray's image for CPUs sees none of its node's GPUs (Kubernetes' device plugin apart)."""
    for group in plan.workers:
        image = ray_image(group)
        if plan.images_hide_gpus and group.n_gpus and image and image.ray and image.platform in (None, "cpu"):
            yield Finding(
                "cpu-image",
                image.told.line,
                f"{group.kind} has GPUs, so its image must be one for GPUs",
                image.told.text,
                "End its tag in -gpu.",
            )
