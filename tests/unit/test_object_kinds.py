"""What the kinds that are followed as runs say of themselves: every phase of each, and statuses that make no sense."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kubernetes.kinds import KINDS, Merge, Order, Remove, change, kind_of
from pipelines.kubernetes.kinds.port import ENDED, Reading
from retrain.errors import Refused

MADE, START, END = "2026-11-22T07:59:00Z", "2026-11-22T08:00:00Z", "2026-11-22T09:00:00Z"
BEGAN, ENDED_AT = datetime(2026, 11, 22, 8, tzinfo=UTC), datetime(2026, 11, 22, 9, tzinfo=UTC)


def an_object(api: str, kind: str, status: Any = None, spec: Any = None, **annotations: str) -> dict[str, Any]:
    metadata = {"name": "x", "namespace": "ml", "uid": "u", "creationTimestamp": MADE, "annotations": annotations}
    body = {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec or {}}
    return body if status is None else {**body, "status": status}


def reading(api: str, kind: str, status: Any = None, spec: Any = None) -> Reading:
    found = an_object(api, kind, status, spec)
    known = kind_of(found)
    assert known is not None
    return known.read(found)


def has(kind: str, status: str = "True", **more: str) -> dict[str, str]:
    return {"type": kind, "status": status, "lastTransitionTime": END, **more}


def given_by(read: Reading) -> dict[str, str]:
    outputs: Any = read.outputs or {}
    return {one["name"]: one["value"] for one in outputs.get("parameters", ())}


JOB: list[tuple[Any, Any, str, str, str]] = [
    (None, {}, "Pending", "", ""),
    ({}, {}, "Pending", "", ""),
    ({}, {"suspend": True}, "Pending", "suspended", ""),
    ({"conditions": [has("Suspended")]}, {"suspend": True}, "Pending", "suspended", ""),
    ({"startTime": START, "active": 2, "ready": 1}, {}, "Running", "", "1/1/0"),
    ({"startTime": START, "active": 1, "failed": 2, "ready": 1}, {}, "Running", "2 of its pods failed", "0/1/2"),
    ({"startTime": START, "conditions": [has("SuccessCriteriaMet")], "succeeded": 1}, {}, "Running", "", "0/0/1"),
    ({"startTime": START, "conditions": [has("FailureTarget")]}, {}, "Running", "", ""),
    ({"startTime": START, "conditions": [has("Complete")], "succeeded": 1}, {}, "Succeeded", "", "0/0/1"),
    ({"startTime": START, "conditions": [has("Complete", "False")]}, {}, "Running", "", ""),
    (
        {"startTime": START, "conditions": [has("Failed", reason="BackoffLimitExceeded", message="too often")]},
        {}, "Failed", "BackoffLimitExceeded: too often", "",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("status", "spec", "phase", "message", "pods"), JOB)
def test_a_job(status: Any, spec: Any, phase: str, message: str, pods: str) -> None:
    read = reading("batch/v1", "Job", status, spec)

    assert (read.phase, read.message, read.pods) == (phase, message, pods)


def test_a_job_tells_when_it_began_and_ended() -> None:
    status = {"startTime": START, "completionTime": END, "conditions": [has("Complete")]}

    read = reading("batch/v1", "Job", status)

    assert (read.started, read.finished) == (BEGAN, ENDED_AT)
    assert read.nodes is not None
    assert read.nodes["x"]["startedAt"] == START


REPLICAS = {"pytorchReplicaSpecs": {"Master": {}, "Worker": {"replicas": 3}}}
STATES = {"Master": {"succeeded": 1}, "Worker": {"active": 2, "failed": 1}}
TORCH: list[tuple[Any, Any, str, str]] = [
    (None, {}, "Pending", ""),
    ({"conditions": [has("Created")]}, {}, "Pending", ""),
    ({"conditions": [has("Suspended")]}, {}, "Pending", "suspended"),
    (None, {"runPolicy": {"suspend": True}}, "Pending", "suspended"),
    ({"conditions": [has("Created"), has("Running")]}, {}, "Running", ""),
    ({"conditions": [has("Running", "False"), has("Restarting", reason="Again")]}, {}, "Running", "restarting: Again"),
    ({"conditions": [has("Running", "False"), has("Succeeded")]}, {}, "Succeeded", ""),
    ({"conditions": [has("Running"), has("Failed", message="of memory")]}, {}, "Failed", "of memory"),
    ({"conditions": [has("Succeeded", "Unknown"), has("Suspended", "False"), has("Running")]}, {}, "Running", ""),
]


@pytest.mark.parametrize("kind", ["PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "PaddleJob", "JAXJob"])
@pytest.mark.parametrize(("status", "spec", "phase", "message"), TORCH)
def test_the_kinds_of_the_training_operator(kind: str, status: Any, spec: Any, phase: str, message: str) -> None:
    read = reading("kubeflow.org/v1", kind, status, spec)

    assert (read.phase, read.message) == (phase, message)


def test_a_training_shows_its_replicas_as_parts() -> None:
    status = {"startTime": START, "conditions": [has("Running")], "replicaStatuses": STATES}

    read = reading("kubeflow.org/v1", "PyTorchJob", status, REPLICAS)

    assert read.pods == "0/2/2"
    assert read.nodes is not None
    assert read.nodes["x"]["children"] == ["x.Master", "x.Worker"]
    parts = [(one["displayName"], one["phase"], one["message"]) for one in read.nodes.values() if one["id"] != "x"]
    assert parts == [("Master", "Succeeded", "1/1 pods"), ("Worker", "Running", "2/3 pods")]


TRAIN: list[tuple[Any, Any, str, str]] = [
    (None, {}, "Pending", ""),
    (None, {"suspend": True}, "Pending", "suspended"),
    ({"conditions": [has("Suspended")], "jobsStatus": [{"name": "node", "active": 1}]}, {}, "Pending", "suspended"),
    ({"jobsStatus": [{"name": "node", "active": 0, "suspended": 1}]}, {}, "Pending", ""),
    ({"jobsStatus": [{"name": "node", "active": 1}]}, {}, "Running", ""),
    (
        {"jobsStatus": [{"name": "node", "active": 1}], "trainerStatus": {"progressPercentage": 40}},
        {}, "Running", "40 % done",
    ),
    ({"conditions": [has("Suspended", "False"), has("Complete", reason="AllJobsCompleted")]}, {}, "Succeeded", ""),
    ({"conditions": [has("Failed", reason="DeadlineExceeded")]}, {}, "Failed", "DeadlineExceeded"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "spec", "phase", "message"), TRAIN)
def test_a_train_job(status: Any, spec: Any, phase: str, message: str) -> None:
    read = reading("trainer.kubeflow.org/v1alpha1", "TrainJob", status, spec)

    assert (read.phase, read.message) == (phase, message)


def test_the_metrics_of_a_trainer_become_outputs() -> None:
    metrics = [{"name": "loss", "value": "0.2"}, {"name": "acc", "value": "0.9"}]

    read = reading(
        "trainer.kubeflow.org/v1alpha1", "TrainJob",
        {"conditions": [has("Complete")], "trainerStatus": {"metrics": metrics}},
    )  # fmt: skip

    assert given_by(read) == {"loss": "0.2", "acc": "0.9"}
    assert read.nodes is not None
    assert read.nodes["x"]["outputs"] == read.outputs


EXPERIMENT: list[tuple[Any, str, str]] = [
    (None, "Pending", ""),
    ({"conditions": [has("Created")]}, "Pending", ""),
    ({"conditions": [has("Running")], "trials": 2}, "Running", "2 of 12 trials"),
    ({"conditions": [has("Restarting")], "trials": 12}, "Running", "12 of 12 trials"),
    ({"conditions": [has("Running", "False"), has("Succeeded", message="goal")]}, "Succeeded", "goal"),
    ({"conditions": [has("Running", "False"), has("Failed", message="too many")]}, "Failed", "too many"),
]


@pytest.mark.parametrize(("status", "phase", "message"), EXPERIMENT)
def test_an_experiment(status: Any, phase: str, message: str) -> None:
    read = reading("kubeflow.org/v1beta1", "Experiment", status, {"maxTrialCount": 12})

    assert (read.phase, read.message) == (phase, message)


@pytest.mark.parametrize(
    ("objective", "loss"),
    [
        ({"type": "minimize", "objectiveMetricName": "loss"}, "0.1"),
        ({"type": "maximize", "objectiveMetricName": "loss"}, "2"),
        ({"type": "minimize", "objectiveMetricName": "other"}, "0.2"),
        (
            {
                "type": "minimize",
                "objectiveMetricName": "loss",
                "metricStrategies": [{"name": "loss", "value": "latest"}],
            },
            "0.2",
        ),
    ],
)
def test_the_best_trials_parameters_and_metrics_become_outputs(objective: Any, loss: str) -> None:
    best = {
        "bestTrialName": "x-7",
        "parameterAssignments": [{"name": "lr", "value": "0.01"}],
        "observation": {
            "metrics": [
                {"name": "loss", "min": "0.1", "max": "2", "latest": "0.2"},
                {"name": "acc", "min": "unavailable", "max": "unavailable", "latest": "unavailable"},
            ]
        },
    }
    status = {"currentOptimalTrial": best, "trialsRunning": 1, "trialsSucceeded": 2, "succeededTrialList": ["x-7"]}

    read = reading(
        "kubeflow.org/v1beta1", "Experiment", status | {"conditions": [has("Running")]}, {"objective": objective}
    )

    assert given_by(read) == {"bestTrial": "x-7", "lr": "0.01", "loss": loss}
    assert read.pods == "0/1/2"


RAY: list[tuple[Any, Any, str, str]] = [
    (None, {}, "Pending", ""),
    (None, {"suspend": True}, "Pending", "suspended"),
    ({"jobDeploymentStatus": "Initializing"}, {}, "Pending", "its Ray cluster starts"),
    ({"jobDeploymentStatus": "Waiting"}, {}, "Running", "waits for its job to be submitted"),
    ({"jobDeploymentStatus": "Running", "jobStatus": "PENDING"}, {}, "Running", ""),
    ({"jobDeploymentStatus": "Running", "jobStatus": "FAILED"}, {}, "Running", ""),
    ({"jobDeploymentStatus": "Retrying", "jobStatus": "FAILED"}, {}, "Running", "is tried again"),
    ({"jobDeploymentStatus": "Suspending"}, {"suspend": True}, "Pending", "suspended"),
    ({"jobDeploymentStatus": "Suspended"}, {"suspend": True}, "Pending", "suspended"),
    ({"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED", "message": "fine"}, {}, "Succeeded", ""),
    ({"jobDeploymentStatus": "Complete", "jobStatus": "STOPPED"}, {}, "Failed", "Ray says STOPPED"),
    (
        {"jobDeploymentStatus": "Failed", "reason": "DeadlineExceeded", "message": "too long"},
        {}, "Failed", "DeadlineExceeded: too long",
    ),
    ({"jobDeploymentStatus": "ValidationFailed", "message": "no"}, {}, "Error", "no"),
    ({"jobDeploymentStatus": "SomethingNew"}, {}, "Running", "SomethingNew"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "spec", "phase", "message"), RAY)
def test_a_ray_job(status: Any, spec: Any, phase: str, message: str) -> None:
    read = reading("ray.io/v1", "RayJob", status, spec)

    assert (read.phase, read.message) == (phase, message)


SPARK: list[tuple[str, str, str]] = [
    ("", "Pending", ""),
    ("SUBMITTED", "Pending", "its driver starts"),
    ("RUNNING", "Running", ""),
    ("SUCCEEDING", "Running", ""),
    ("FAILING", "Running", "has failed and may be tried again"),
    ("SUBMISSION_FAILED", "Pending", "could not be submitted and may be tried again"),
    ("PENDING_RERUN", "Running", "is tried again"),
    ("INVALIDATING", "Running", "was changed and begins anew"),
    ("SUSPENDING", "Pending", "suspended"),
    ("SUSPENDED", "Pending", "suspended"),
    ("RESUMING", "Pending", "is resumed"),
    ("UNKNOWN", "Running", "the operator does not know its state"),
    ("COMPLETED", "Succeeded", ""),
    ("FAILED", "Failed", ""),
    ("SOMETHING_NEW", "Running", "SOMETHING_NEW"),
]


@pytest.mark.parametrize(("state", "phase", "message"), SPARK)
def test_a_spark_application(state: str, phase: str, message: str) -> None:
    status = {"applicationState": {"state": state}, "executorState": {"x-exec-1": "FAILED", "x-exec-2": "RUNNING"}}
    read = reading("sparkoperator.k8s.io/v1beta2", "SparkApplication", status)

    assert (read.phase, read.message) == (phase, message)
    assert read.nodes is not None
    assert [one["phase"] for one in read.nodes.values() if one["id"] != "x"] == ["Failed", "Running"]


SERVICE: list[tuple[Any, str, str]] = [
    (None, "Pending", ""),
    ({"conditions": [has("Ready", "False", reason="Starting")]}, "Running", "Starting"),
    ({"conditions": [has("Ready", "Unknown")]}, "Running", ""),
    ({"conditions": [has("Ready")], "modelStatus": {"transitionStatus": "InProgress"}}, "Running", ""),
    ({"conditions": [has("Ready")], "modelStatus": {"transitionStatus": "UpToDate"}}, "Succeeded", ""),
    ({"conditions": [has("Ready")]}, "Succeeded", ""),
    (
        {"conditions": [has("Ready")], "modelStatus": {"transitionStatus": "BlockedByFailedLoad"}},
        "Failed", "BlockedByFailedLoad",
    ),
    (
        {"modelStatus": {"transitionStatus": "InvalidSpec", "lastFailureInfo": {"reason": "NoSupportingRuntime"}}},
        "Failed", "InvalidSpec: NoSupportingRuntime",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("status", "phase", "message"), SERVICE)
def test_an_inference_service(status: Any, phase: str, message: str) -> None:
    read = reading("serving.kserve.io/v1beta1", "InferenceService", status)

    assert (read.phase, read.message) == (phase, message)


def test_where_a_model_serves_is_an_output() -> None:
    status = {"conditions": [has("Ready"), has("PredictorReady")], "url": "http://m", "components": {"predictor": {}}}

    read = reading("serving.kserve.io/v1beta1", "InferenceService", status)

    assert given_by(read) == {"url": "http://m"}
    assert read.nodes is not None
    assert read.nodes["x.predictor"]["phase"] == "Succeeded"


VOLCANO: list[tuple[str, str, str]] = [
    ("", "Pending", ""),
    ("Pending", "Pending", ""),
    ("Running", "Running", ""),
    ("Restarting", "Running", "is tried again"),
    ("Completing", "Running", "completes"),
    ("Aborting", "Pending", "suspended"),
    ("Aborted", "Pending", "suspended"),
    ("Terminating", "Running", "terminates"),
    ("Completed", "Succeeded", ""),
    ("Terminated", "Failed", "terminated"),
    ("Failed", "Failed", ""),
    ("SomethingNew", "Running", "SomethingNew"),
]


@pytest.mark.parametrize(("state", "phase", "message"), VOLCANO)
def test_a_job_of_volcano(state: str, phase: str, message: str) -> None:
    status = {
        "state": {"phase": state, "lastTransitionTime": END},
        "conditions": [{"status": "Pending"}, {"status": "Running", "lastTransitionTime": START}],
        "running": 2,
        "failed": 1,
    }
    read = reading("batch.volcano.sh/v1alpha1", "Job", status)

    assert (read.phase, read.message, read.pods, read.started) == (phase, message, "0/2/1", BEGAN)
    assert (read.finished is not None) == read.over


# ---- what they have used ----


def a_template(gpus: int, containers: int = 1) -> dict[str, Any]:
    one = {"name": "c", "resources": {"limits": {"nvidia.com/gpu": gpus}, "requests": {"cpu": "500m"}}}
    return {"spec": {"containers": [one] * containers}}


TWO_GPUS = {"template": a_template(2)}
HOUR = {"startTime": START, "completionTime": END}
USED: list[tuple[str, str, Any, Any, float]] = [
    (
        "batch/v1", "Job", {"parallelism": 4, "completions": 2, "template": a_template(1)},
        {**HOUR, "conditions": [has("Complete")]}, 2,
    ),
    (
        "kubeflow.org/v1", "PyTorchJob",
        {"pytorchReplicaSpecs": {"Master": {"template": a_template(1)}, "Worker": {"replicas": 3, **TWO_GPUS}}},
        {**HOUR, "conditions": [has("Failed")]}, 7,
    ),
    (
        "ray.io/v1", "RayJob",
        {
            "rayClusterSpec": {
                "headGroupSpec": {"template": a_template(0)},
                "workerGroupSpecs": [{"replicas": 2, "numOfHosts": 2, "template": a_template(1, 2)}],
            }
        },
        {"startTime": START, "endTime": END, "jobDeploymentStatus": "Complete"}, 8,
    ),
    (
        "batch.volcano.sh/v1alpha1", "Job", {"tasks": [{"name": "w", "replicas": 2, "template": a_template(2)}]},
        {
            "state": {"phase": "Completed", "lastTransitionTime": END},
            "conditions": [{"status": "Running", "lastTransitionTime": START}],
        },
        4,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("api", "kind", "spec", "status", "gpus"), USED, ids=[f"{one[0]} {one[1]}" for one in USED])
def test_what_was_asked_for_is_counted_for_as_long_as_it_ran(
    api: str, kind: str, spec: Any, status: Any, gpus: float
) -> None:
    read = reading(api, kind, status, spec)

    assert read.resources["nvidia.com/gpu"] == gpus * 3600


def test_a_train_job_counts_its_trainers_nodes() -> None:
    trainer = {"numNodes": 4, "resourcesPerNode": {"limits": {"nvidia.com/gpu": 8}}}
    status = {"conditions": [has("Complete")], "jobsStatus": [{"name": "node", "succeeded": 1}]}

    read = reading("trainer.kubeflow.org/v1alpha1", "TrainJob", status, {"trainer": trainer})

    assert read.resources == {"nvidia.com/gpu": 32 * 3660}  # from when it was made: its status has no start
    assert read.nodes is not None
    assert read.nodes["x.node"]["resourcesDuration"] == read.resources


def test_nothing_is_counted_of_what_runs_yet() -> None:
    read = reading("batch/v1", "Job", {"startTime": START, "active": 1}, {"template": a_template(1)})

    assert read.resources == {}


# ---- objects that say themselves when they end ----

SUCCESS, FAILURE, OUTPUTS = (f"retrain.dev/{name}" for name in ("success-condition", "failure-condition", "outputs"))


@pytest.mark.parametrize(
    ("state", "phase"), [("new", "Running"), ("done", "Succeeded"), ("lost", "Failed"), (None, "Running")]
)
def test_an_object_of_any_kind_says_itself_when_it_ends(state: Any, phase: str) -> None:
    said = {SUCCESS: "status.state == done", FAILURE: "status.state in (lost, broken)"}
    found = an_object("example.org/v1", "Batch", {"state": state}, **said)

    kind = kind_of(found)

    assert kind is not None
    assert kind.read(found).phase == phase


def test_conditions_count_more_than_what_the_kind_says() -> None:
    found = an_object("ray.io/v1", "RayJob", {"jobDeploymentStatus": "Complete"}, **{SUCCESS: "status.done == yes"})

    kind = kind_of(found)

    assert kind is not None
    assert kind.read(found).phase == "Running"


def test_outputs_are_added_to_what_the_kind_gives() -> None:
    status = {"conditions": [has("Ready")], "url": "http://m", "revision": 7}
    found = an_object(
        "serving.kserve.io/v1beta1", "InferenceService", status,
        **{OUTPUTS: '{"revision": "{.status.revision}", "none": "{.status.none}", "bad": "{"}'},
    )  # fmt: skip

    kind = kind_of(found)

    assert kind is not None
    assert given_by(kind.read(found)) == {"revision": "7", "url": "http://m"}


@pytest.mark.parametrize("said", [{}, {"retrain.dev/track": "false", SUCCESS: "a == b"}])
def test_what_nobody_follows_is_no_run(said: Any) -> None:
    assert kind_of(an_object("example.org/v1", "Batch", **said)) is None


def test_a_condition_that_cannot_be_read_is_said() -> None:
    found = an_object("example.org/v1", "Batch", **{SUCCESS: "a >> b"})

    kind = kind_of(found)

    assert kind is not None
    assert kind.read(found).phase == "Error"


# ---- all of them ----

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=4)
    | st.sampled_from(["True", "Running", "Failed", END]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
NAMES = [
    *(
        "conditions",
        "state",
        "startTime",
        "completionTime",
        "active",
        "ready",
        "failed",
        "replicaStatuses",
        "jobsStatus",
    ),
    *("trainerStatus", "currentOptimalTrial", "jobDeploymentStatus", "jobStatus", "applicationState", "executorState"),
    *("modelStatus", "components", "url", "taskStatusCount", "succeededTrialList", "phase", "nodes", "rayJobInfo"),
]


@given(st.sampled_from(sorted(KINDS)), st.dictionaries(st.sampled_from(NAMES), anything, max_size=5), anything)
def test_no_status_is_so_strange_that_it_cannot_be_read(key: tuple[str, str], status: Any, spec: Any) -> None:
    kind = KINDS[key]
    if kind.kind == "Workflow":
        return  # its controller's own shapes; they are tested where it is

    read = kind.read(an_object(kind.api_version, kind.kind, status, spec))

    assert read.phase in {"Pending", "Running", *ENDED}
    assert read.nodes


CONDITIONS = ("Created", "Running", "Restarting", "Suspended", "Failed", "Succeeded", "Complete", "Ready")


@given(
    st.sampled_from([key for key in sorted(KINDS) if key[1] in {"Job", "PyTorchJob", "TrainJob", "Experiment"}]),
    st.lists(st.tuples(st.sampled_from(CONDITIONS), st.sampled_from(["True", "False", "Unknown"])), max_size=6),
    st.lists(st.sampled_from(["Created", "Running", "Restarting", "Suspended"]), max_size=3),
)
def test_an_end_stays_an_end_whatever_else_is_said_later(key: tuple[str, str], said: Any, later: list[str]) -> None:
    """Only an end that is taken back (Katib's) is none any more."""
    kind = KINDS[key]
    before = [has(name, status) for name, status in dict(said).items()]
    first = kind.read(an_object(kind.api_version, kind.kind, {"conditions": before}))
    kept = [one for one in before if one["type"] not in later]

    second = kind.read(an_object(kind.api_version, kind.kind, {"conditions": [*kept, *(has(one) for one in later)]}))

    if first.over:
        assert second.phase == first.phase


# ---- what may be asked of them ----


@pytest.mark.parametrize(
    ("api", "kind", "suspended"),
    [
        ("batch/v1", "Job", {"spec": {"suspend": True}}),
        ("kubeflow.org/v1", "PyTorchJob", {"spec": {"runPolicy": {"suspend": True}}}),
        ("trainer.kubeflow.org/v1alpha1", "TrainJob", {"spec": {"suspend": True}}),
        ("ray.io/v1", "RayJob", {"spec": {"suspend": True}}),
        ("sparkoperator.k8s.io/v1beta2", "SparkApplication", {"spec": {"suspend": True}}),
    ],
)
def test_what_can_be_suspended_is(api: str, kind: str, suspended: Mapping[str, Any]) -> None:
    assert change(an_object(api, kind), "suspend") == Merge(suspended)


@pytest.mark.parametrize(
    "kind", [("kubeflow.org/v1beta1", "Experiment"), ("serving.kserve.io/v1beta1", "InferenceService")]
)
def test_what_cannot_be_suspended_says_what_it_can(kind: tuple[str, str]) -> None:
    with pytest.raises(Refused, match=f"a {kind[1]} of {kind[0]} cannot suspend; there is stop, terminate, delete"):
        change(an_object(*kind), "suspend")


@pytest.mark.parametrize(
    ("status", "wanted"),
    [({"startTime": START}, Merge({"spec": {"activeDeadlineSeconds": 1}})), ({}, Remove())],
)
def test_a_job_that_runs_is_stopped_with_its_record_kept(status: Any, wanted: Any) -> None:
    assert change(an_object("batch/v1", "Job", status), "stop") == wanted


@pytest.mark.parametrize(
    ("api", "kind", "spec"),
    [("ray.io/v1", "RayJob", {"suspend": True}), ("kubeflow.org/v1", "PyTorchJob", {"runPolicy": {"suspend": True}})],
)
def test_one_that_is_suspended_is_deleted_for_its_deadline_does_not_pass(api: str, kind: str, spec: Any) -> None:
    """KubeRay looks at deadlines of what starts and runs alone, and leaves a suspended one its start."""
    assert change(an_object(api, kind, {"startTime": START}, spec), "stop") == Remove()


def test_volcano_is_told_by_a_command_that_its_job_owns() -> None:
    told = change(an_object("batch.volcano.sh/v1alpha1", "Job"), "resume")

    assert isinstance(told, Order)
    assert (told.body["action"], told.body["target"]["uid"]) == ("ResumeJob", "u")
    assert told.body["metadata"]["ownerReferences"] == [told.body["target"]]
