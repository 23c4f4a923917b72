"""The webhook as the settings want it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from retrain.app.settings import Settings
from retrain.clock import Clock

if TYPE_CHECKING:
    from retrain.app.admission.admission import Admission
    from retrain.app.admission.vaults import Open

FILE = "admission.json"
"""In the data directory: its keys."""


def open_admission(settings: Settings, data: Path, open_cluster: Open, clock: Clock) -> Admission | None:
    """The part, not yet started; None where there is to be none."""
    group = settings.admission
    if group.port is None:
        return None
    # With it come X.509 and keys, which few platforms need.
    from retrain.app.admission.admission import Admission, Wanted
    from retrain.app.admission.vaults import FileVault, SecretVault

    host = settings.server.host if group.host is None else group.host
    wanted = Wanted(host, group.port, group.configuration, group.service, group.names)
    vault = FileVault(data / FILE) if group.secret is None else SecretVault(open_cluster, group.secret)
    return Admission(wanted, vault, open_cluster, clock)
