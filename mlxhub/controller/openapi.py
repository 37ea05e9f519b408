"""The controller's OpenAPI document."""

from importlib.metadata import version
from typing import Any, get_args

from mlxhub.controller.access import TABLE
from mlxhub.controller.routes.health import Health
from mlxhub.controller.routes.model_details import MOST_LINES
from mlxhub.controller.routes.openai import ModelList, ModelObject
from mlxhub.protocol.hub import (
    ActionResult,
    BulkResult,
    HubStatus,
    ModelAction,
    ModelHistory,
    OpenSession,
    OperationList,
    OperationView,
    ReloadResult,
    Unlocked,
    UnlockToken,
)
from mlxhub.protocol.openapi import Operation, make_openapi
from mlxhub.protocol.operations import MODEL_OPERATIONS
from mlxhub.protocol.registry import DisableModel, DiscoveredView, EnableModel, PullList, PullModel, PullView

# Without it the answer is how to find what has begun.
_WAIT = {"wait": {"type": "boolean"}}
_OPERATIONS = {
    ("GET", "/health"): Operation("Whether it is alive.", Health),
    ("GET", "/livez"): Operation("Whether it is alive.", Health),
    ("GET", "/readyz"): Operation("Whether it has seen every model once.", Health, unable=Health),
    ("GET", "/hub"): Operation("The dashboard.", "text/html"),
    ("GET", "/hub/assets/{asset}"): Operation("Its style and scripts.", "*/*"),
    ("POST", "/hub/session"): Operation("Open a browser's session.", Unlocked, asks=OpenSession),
    ("POST", "/hub/unlock"): Operation("Get a token that opens one.", UnlockToken),
    ("GET", "/hub/status"): Operation(
        "Every model: process, memory, port. `fresh` looks first.",
        HubStatus,
        query={"fresh": {"type": "boolean"}},
    ),
    ("GET", "/hub/events"): Operation(
        "What happened, as server-sent events: what came after the one that `after` or Last-Event-ID names; "
        "with `follow` also what comes, as it comes.",
        "text/event-stream",
        query={"after": {"type": "string", "maxLength": 100}, "follow": {"type": "boolean"}},
    ),
    ("GET", "/hub/models/{name}/logs"): Operation(
        "Lines of its log, as server-sent events; with `follow` also what comes, as it comes.",
        "text/event-stream",
        query={
            "lines": {"type": "integer", "minimum": 0, "maximum": MOST_LINES},
            "follow": {"type": "boolean"},
        },
    ),
    ("GET", "/hub/models/{name}/history"): Operation("Its last hour.", ModelHistory),
    ("GET", "/hub/discovered"): Operation("Models on this machine's disks, as last seen.", DiscoveredView),
    ("POST", "/hub/discovered/rescan"): Operation("Look for them again.", DiscoveredView),
    ("POST", "/hub/discovered/enable"): Operation("Write one into hub.yaml.", ActionResult, asks=EnableModel),
    ("POST", "/hub/discovered/disable"): Operation(
        "Make one of hub.yaml a comment.", ActionResult, asks=DisableModel
    ),
    ("GET", "/hub/pulls"): Operation("Models that are, or were, pulled.", PullList),
    ("POST", "/hub/pulls"): Operation(
        "Pull one into the Hugging Face cache.", PullView, asks=PullModel, accepted=PullView
    ),
    ("DELETE", "/hub/pulls/{id}"): Operation("End a pull; what has come is kept.", PullView),
    ("GET", "/hub/operations"): Operation("What was asked of the hub, the newest first.", OperationList),
    ("GET", "/hub/operations/{id}"): Operation("One of these.", OperationView),
    ("POST", "/hub/reload"): Operation("Read hub.yaml again and apply what changed.", ReloadResult),
    ("POST", "/hub/shutdown"): Operation("End the controller; its models serve on.", ActionResult),
    ("POST", "/hub/start-all"): Operation(
        "Start the process of every model.", BulkResult, accepted=OperationView, query=_WAIT
    ),
    ("POST", "/hub/stop-all"): Operation(
        "Stop the process of every model.", BulkResult, accepted=OperationView, query=_WAIT
    ),
    ("POST", "/hub/models/{name}/{action}"): Operation(
        "Act on one model.",
        ActionResult,
        accepted=OperationView,
        query=_WAIT,
        path={"action": {"enum": [*get_args(ModelAction)]}},
    ),
    ("GET", "/v1/models"): Operation("Every model. Loads nothing.", ModelList),
    ("GET", "/v1/models/{model_id:path}"): Operation("One model, by name or alias.", ModelObject),
    **MODEL_OPERATIONS,
}


def controller_openapi() -> dict[str, Any]:
    """JSON as a value."""
    return make_openapi("mlxhub controller", version("mlxhub"), TABLE, _OPERATIONS)
