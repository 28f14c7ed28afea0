"""Every rule on one file: which file it is, which rules judge it, in which order they are told."""

from collections.abc import Callable, Iterator

from vgsearch.cluster.check import kuberay, launcher_rules, setup, storage, tokens, versions, workers
from vgsearch.cluster.check.document import Document, NotYaml, read_documents, repeated_keys
from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.known_settings import settings_have_known_names
from vgsearch.cluster.check.launcher import launcher_plan
from vgsearch.cluster.check.launcher_schema import ray_takes_the_file
from vgsearch.cluster.check.placeholders import placeholders_left
from vgsearch.cluster.check.plan import ClusterPlan

PLAN_RULES: tuple[Callable[[ClusterPlan], Iterator[Finding]], ...] = (
    tokens.token_is_asked_for,
    tokens.token_reaches_the_nodes,
    tokens.token_is_no_text_of_the_file,
    storage.storage_is_shared,
    storage.spot_nodes_leave_their_work_behind,
    storage.storage_lets_nodes_in,
    versions.ray_is_the_one_tested,
    versions.python_is_one,
    versions.gpu_nodes_have_a_gpu_image,
    setup.vgsearch_is_installed,
    setup.versions_are_held,
    setup.what_is_installed_is_there,
    workers.head_takes_no_trials,
    workers.head_stays,
    workers.there_are_workers,
    workers.workers_come,
    workers.idle_workers_go,
)
LAUNCHER_RULES: tuple[Callable[[Document], Iterator[Finding]], ...] = (
    launcher_rules.provider_is_known,
    launcher_rules.dashboard_listens_on_loopback,
    launcher_rules.ports_are_closed_to_the_world,
    launcher_rules.workers_join,
    launcher_rules.gpu_machines_have_a_driver,
    launcher_rules.gpus_are_declared,
    launcher_rules.gpu_machines_may_stop,
    launcher_rules.nothing_is_left_after_down,
)


def check_text(text: str, needs_gpus: str | None = None) -> list[Finding]:
    """All findings on a cluster file, by line. `needs_gpus` names the search that needs them, where one does."""
    if text.startswith("#!"):
        must, remedy = "the file must be one for `ray up` or KubeRay", "Let `bash -n` and shellcheck read it."
        return [Finding("kind", 1, must, "a script", remedy)]
    try:
        documents = read_documents(text)
    except NotYaml as error:
        return [Finding("yaml", error.line, "the file must be YAML", str(error), "Mend this line or the one above it.")]
    found = [finding for document in documents for finding in repeated_keys(document)]
    found += _of_documents(documents, needs_gpus)
    found += placeholders_left(text)
    return sorted(dict.fromkeys(found), key=lambda finding: (finding.is_note, finding.line))


def _of_documents(documents: list[Document], needs_gpus: str | None) -> Iterator[Finding]:
    if any(document.at("apiVersion") for document in documents):
        yield from _of_kubernetes(documents, needs_gpus)
    elif len(documents) == 1 and isinstance(documents[0].values, dict) and documents[0].mapping("provider"):
        yield from _of_launcher(documents[0], needs_gpus)
    else:
        must = "the file must be one for `ray up`, with cluster_name and provider, or hold a RayJob or RayCluster of KubeRay"
        came = "an empty file" if not documents else f"{len(documents)} document(s) without them"
        yield Finding("kind", 1, must, came, "`vgsearch cluster init aws` writes one to begin with.")


def _of_launcher(document: Document, needs_gpus: str | None) -> Iterator[Finding]:
    problems = list(ray_takes_the_file(document))
    yield from problems
    yield from settings_have_known_names(document)
    if problems:
        return  # what has another shape than Ray's can't be read further
    for rule in LAUNCHER_RULES:
        yield from rule(document)
    yield from _of_plan(launcher_plan(document), needs_gpus)


def _of_kubernetes(documents: list[Document], needs_gpus: str | None) -> Iterator[Finding]:
    known = [document for document in documents if document.at("kind") in kuberay.KINDS]
    if not known:
        kinds = ", ".join(str(document.at("kind")) for document in documents)
        yield Finding(
            "kind", 1, "the file must hold a RayJob or a RayCluster", kinds, "Add one; vgsearch runs on no other."
        )
    for document in known:
        problems = list(kuberay.fields_are_those_of_kuberay(document))
        yield from problems
        if problems:
            continue
        cluster = kuberay.cluster_of(document)
        yield from kuberay.runs_outlive_the_pod(document, cluster)
        yield from kuberay.jobs_end(document, cluster)
        if cluster is not None:
            yield from kuberay.token_has_its_version(cluster)
            yield from kuberay.dashboard_stays_inside(cluster)
            yield from kuberay.pods_keep_to_themselves(cluster)
            yield from _of_plan(kuberay.kuberay_plan(document, cluster), needs_gpus)


def _of_plan(plan: ClusterPlan, needs_gpus: str | None) -> Iterator[Finding]:
    rules = PLAN_RULES if needs_gpus is None else (*PLAN_RULES, workers.workers_have_gpus(needs_gpus))
    for rule in rules:
        yield from rule(plan)
