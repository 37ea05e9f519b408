"""The one way in which a model is turned away."""

from mlxhub.errors import MlxhubError

DOWNLOAD_AGAIN = "Download the model again"
TRUST = "say trust_remote_code: true for this model in hub.yaml if you trust its authors"


class IntakeRefused(MlxhubError):
    """`what` names files relative to the model's directory: HTTP clients read it. Neither ends in a stop."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}.")
        self.what = what
        self.remedy = remedy
