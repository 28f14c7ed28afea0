"""All rules for one cluster file: which kind of file it is, and which rules apply."""

from collections.abc import Callable, Iterator, Sequence

from vgsearch.cluster.check import kuberay, launcher_rules, setup, storage, tokens, versions, workers
from vgsearch.cluster.check.document import Document, NotYaml, read_documents, repeated_keys
from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.known_settings import settings_have_known_names
from vgsearch.cluster.check.launcher import launcher_plan
from vgsearch.cluster.check.launcher_schema import ray_accepts_the_file
from vgsearch.cluster.check.placeholders import placeholders_left
from vgsearch.cluster.check.plan import ClusterPlan
from videogan.amounts import n_of

PlanRule = Callable[[ClusterPlan], Iterator[Finding]]
PLAN_RULES: tuple[PlanRule, ...] = (
    tokens.ray_requires_the_token,
    tokens.token_reaches_the_nodes,
    tokens.token_is_not_in_the_file,
    storage.storage_is_shared,
    storage.spot_nodes_use_shared_storage,
    storage.nodes_may_access_storage,
    versions.ray_is_the_tested_version,
    versions.python_is_the_same_everywhere,
    versions.gpu_nodes_have_a_gpu_image,
    setup.vgsearch_is_installed,
    setup.versions_are_pinned,
    setup.installed_files_are_copied,
    workers.head_runs_no_trials,
    workers.head_is_not_spot,
    workers.there_are_workers,
    workers.autoscaler_runs,
    workers.idle_workers_are_removed,
)
LAUNCHER_RULES: tuple[Callable[[Document], Iterator[Finding]], ...] = (
    launcher_rules.provider_is_known,
    launcher_rules.dashboard_listens_on_loopback,
    launcher_rules.ports_are_closed_to_the_world,
    launcher_rules.workers_join,
    launcher_rules.gpu_machines_have_a_driver,
    launcher_rules.gpus_are_declared,
    launcher_rules.gpu_machines_stop_for_maintenance,
    launcher_rules.down_terminates_nodes,
)


def check_text(text: str, needs_gpus: str | None = None, need: workers.GpuNeed | None = None) -> list[Finding]:
    """All findings: failures, then notes, each in line order.

    `needs_gpus` names the search that needs GPUs, if any; `need` is what a certain one needs of each GPU.
    """
    if text.startswith("#!"):
        must, remedy = "the file must be one for `ray up` or KubeRay", "Check a script with `bash -n` and shellcheck."
        return [Finding("kind", 1, must, "a script", remedy)]
    try:
        documents = read_documents(text)
    except NotYaml as error:
        return [
            Finding("yaml", error.line, "the file must be YAML", str(error), "Correct this line or the one above it.")
        ]
    found = [finding for document in documents for finding in repeated_keys(document)]
    needs: list[PlanRule] = [] if needs_gpus is None else [workers.workers_have_gpus(needs_gpus)]
    needs += [] if need is None else [workers.gpus_hold_a_trial(need)]
    found += _of_documents(documents, (*PLAN_RULES, *needs))
    found += placeholders_left(text)
    return sorted(dict.fromkeys(found), key=lambda finding: (finding.is_note, finding.line))


def _of_documents(documents: list[Document], plan_rules: Sequence[PlanRule]) -> Iterator[Finding]:
    if any(document.at("apiVersion") for document in documents):
        yield from _of_kubernetes(documents, plan_rules)
    elif len(documents) == 1 and isinstance(documents[0].values, dict) and documents[0].mapping("provider"):
        yield from _of_launcher(documents[0], plan_rules)
    else:
        must = (
            "the file must be for `ray up`, with cluster_name and provider, or have a RayJob or RayCluster of KubeRay"
        )
        came = f"{n_of(len(documents), 'document')} without these" if documents else "an empty file"
        yield Finding("kind", 1, must, came, "Start from `vgsearch cluster init aws`.")


def _of_launcher(document: Document, plan_rules: Sequence[PlanRule]) -> Iterator[Finding]:
    problems = list(ray_accepts_the_file(document))
    yield from problems
    yield from settings_have_known_names(document)
    if problems:
        return  # the other rules need a file that fits Ray's schema
    for rule in LAUNCHER_RULES:
        yield from rule(document)
    plan = launcher_plan(document)
    for plan_rule in plan_rules:
        yield from plan_rule(plan)


def _of_kubernetes(documents: list[Document], plan_rules: Sequence[PlanRule]) -> Iterator[Finding]:
    known = [document for document in documents if document.at("kind") in kuberay.KINDS]
    if not known:
        kinds = ", ".join(str(document.at("kind")) for document in documents)
        yield Finding(
            "kind", 1, "the file must have a RayJob or a RayCluster", kinds, "Add one; vgsearch runs on these only."
        )
    for document in known:
        problems = list(kuberay.fields_are_those_of_kuberay(document))
        yield from problems
        if problems:
            continue
        cluster = kuberay.cluster_of(document)
        yield from kuberay.results_outlive_the_pod(document, cluster)
        yield from kuberay.jobs_end_their_cluster(document, cluster)
        if cluster is not None:
            yield from kuberay.token_has_its_version(cluster)
            yield from kuberay.dashboard_stays_inside(cluster)
            yield from kuberay.pods_are_isolated(cluster)
            plan = kuberay.kuberay_plan(document, cluster)
            for plan_rule in plan_rules:
                yield from plan_rule(plan)
