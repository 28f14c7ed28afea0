"""All nodes run the same Ray and Python, which vgsearch supports: they exchange pickles."""

import importlib.metadata
import re
from collections.abc import Iterator
from dataclasses import dataclass

from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.plan import ClusterPlan, FileText, NodeGroup

_IMAGE = re.compile(r"(?:.*/)?rayproject/ray(?:-ml)?(?::(?P<tag>[\w.-]+))?(?:@.*)?")
_TAG = re.compile(r"(?P<ray>\d+\.\d+\.\d+)(?:-py(?P<major>\d)(?P<minor>\d+))?(?:-(?P<platform>\w+))?.*")
_PINNED = re.compile(r"\bray(?:\[[\w,-]*\])?\s*==\s*([\d.]+)")


@dataclass(frozen=True)
class RayImage:
    """The versions in the tag of one of Ray's own images; None for what the tag leaves open."""

    text: FileText
    ray: str | None
    python: tuple[int, int] | None
    platform: str | None


def needed_ray() -> str:
    """The minor version of Ray that vgsearch depends on, e.g. '2.60'."""
    requirements = importlib.metadata.requires("vgsearch") or []
    return next(match[1] for text in requirements if (match := re.match(r"ray\b.*?==(\d+\.\d+)\.\*", text)))


def needed_python() -> tuple[int, int]:
    """The oldest Python that vgsearch supports."""
    major, minor = re.findall(r"\d+", importlib.metadata.metadata("vgsearch")["Requires-Python"])[:2]
    return int(major), int(minor)


def ray_image(group: NodeGroup) -> RayImage | None:
    """The group's image if it is one of Ray's own, else None."""
    match = _IMAGE.fullmatch(group.image.text) if group.image else None
    if group.image is None or match is None:
        return None
    tag = _TAG.fullmatch(match["tag"] or "")
    if tag is None:
        return RayImage(group.image, None, None, None)
    python = (int(tag["major"]), int(tag["minor"])) if tag["major"] else None
    return RayImage(group.image, tag["ray"], python, tag["platform"])


def ray_is_the_tested_version(plan: ClusterPlan) -> Iterator[Finding]:
    """ray-version: images, setup and KubeRay's rayVersion name the same Ray, of the supported minor version."""
    series = needed_ray()
    found = {
        (image.text.line, image.ray or image.text.text) for group in plan.groups if (image := ray_image(group))
    } | {
        (command.line, pin) for group in plan.groups for command in group.setup for pin in _PINNED.findall(command.text)
    }
    if plan.ray_version:
        found.add((plan.ray_version.line, plan.ray_version.text))
    wrong = [(line, version) for line, version in sorted(found) if not f"{version}.".startswith(f"{series}.")]
    for line, version in wrong[:1]:
        remedy = f"Use {series}.0, e.g. rayproject/ray:{series}.0-py{''.join(map(str, needed_python()))}-gpu."
        yield Finding("ray-version", line, f"every node must run Ray {series}", version, remedy)
    if not wrong and len({version for _, version in found}) > 1:
        line = max(found)[0]
        versions = " and ".join(sorted({version for _, version in found}))
        yield Finding("ray-version", line, "all nodes must run the same Ray", versions, "Use one of them everywhere.")


def python_is_the_same_everywhere(plan: ClusterPlan) -> Iterator[Finding]:
    """python-version: images have the same Python, new enough for vgsearch."""
    oldest = needed_python()
    images = [image for group in plan.groups if (image := ray_image(group)) and image.ray]
    tag = f"-py{oldest[0]}{oldest[1]}"
    for image in images:
        if image.python is None or image.python < oldest:
            came = (
                f"{image.text.text}, {'which does not name its Python' if image.python is None else 'which is older'}"
            )
            must = f"the image must have Python {oldest[0]}.{oldest[1]} or newer"
            yield Finding("python-version", image.text.line, must, came, f"Name it in the tag, e.g. {tag}.")
            return
    if len({image.python for image in images}) > 1:
        came = " and ".join(sorted({image.text.text for image in images}))
        must = "all nodes must run the same Python"
        yield Finding("python-version", images[-1].text.line, must, came, f"Use {tag} in every tag.")


def gpu_nodes_have_a_gpu_image(plan: ClusterPlan) -> Iterator[Finding]:
    """cpu-image: nodes with GPUs use Ray's GPU image; its CPU image sees no GPU, except under Kubernetes."""
    for group in plan.workers:
        image = ray_image(group)
        if plan.images_hide_gpus and group.n_gpus and image and image.ray and image.platform in (None, "cpu"):
            yield Finding(
                "cpu-image",
                image.text.line,
                f"{group.kind} has GPUs and must use a GPU image",
                image.text.text,
                "Use the tag that ends in -gpu.",
            )
