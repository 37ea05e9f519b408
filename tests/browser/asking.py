"""What a hub and its workers say of themselves, asked past any browser."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx


@dataclass(frozen=True, slots=True)
class Keys:
    admin: str
    api: str


class HubFacts:
    """What an attack could change, and what tests do to the hub without its page."""

    def __init__(self, url: str, keys: Keys) -> None:
        self._url = url
        self._api = {"Authorization": f"Bearer {keys.api}"}
        admin = {"Authorization": f"Bearer {keys.admin}"}
        self._client = httpx.Client(base_url=url, headers=admin, trust_env=False, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def link(self) -> str:
        """As `mlxhub open --print` says it."""
        return f"{self._url}/hub#t={self._post('/hub/unlock')['token']}"

    def act(self, model: str, action: str) -> None:
        self._post(f"/hub/models/{model}/{action}?wait=1")

    def pull(self, repo: str) -> None:
        self._post("/hub/pulls", {"model": repo})

    def shut_down(self) -> None:
        """The controller; its models serve on."""
        self._post("/hub/shutdown")

    def model(self, name: str) -> Any:
        return next(model for model in self._status()["models"] if model["name"] == name)

    @property
    def controller_pid(self) -> int:
        pid: int = self._status()["controller"]["pid"]
        return pid

    def now(self) -> dict[str, Any]:
        """Nothing in it changes by itself, or because it is asked for."""
        status = self._status()
        lasting = ("process", "pid", "restarts", "memory", "in_flight", "error")
        return {
            "controller": (status["controller"]["pid"], status["controller"]["started_at"]),
            "models": {each["name"]: {key: each[key] for key in lasting} for each in status["models"]},
            "counters": {
                each["name"]: self._counters(each["port"]) for each in status["models"] if each["pid"]
            },
        }

    def _counters(self, port: int) -> Any:
        answer = self._client.get(f"http://127.0.0.1:{port}/status", headers=self._api)
        return answer.raise_for_status().json()["counters"]

    def _status(self) -> Any:
        return self._client.get("/hub/status?fresh=1").raise_for_status().json()

    def _post(self, path: str, body: dict[str, str] | None = None) -> Any:
        return self._client.post(path, json=body or {}).raise_for_status().json()
