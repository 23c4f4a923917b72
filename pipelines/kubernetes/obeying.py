"""Does to runs on a cluster what was asked of them by way of the store: by triggers, by sensors that replace runs, by
schedules. What people ask goes to the API server at once and does not come by here.
"""

from __future__ import annotations

from pipelines.host.control import retry_asked
from pipelines.host.requests import request_of
from pipelines.kubernetes.requests import ClusterRequests
from pipelines.kubernetes.rounds import Rounds
from retrain.errors import RetrainError, Transient
from retrain.kube import Unreachable
from retrain.log import get_logger
from retrain.store import Store, run_requests, runs
from retrain.store.elsewhere import CLUSTER
from retrain.store.run_requests import RequestRow

TOPIC = "runs/obeying"

log = get_logger()


class Obedience:
    """Works through the requests of open runs, oldest first."""

    def __init__(self, store: Store, requests: ClusterRequests) -> None:
        self._store = store
        self._requests = requests
        self._rounds = Rounds(store, TOPIC, "cluster.not_asked")

    @property
    def trouble(self) -> str | None:
        """Why something cannot be asked of the cluster now; None while all can."""
        return self._rounds.trouble

    async def run(self) -> None:
        """Obey until cancelled."""
        await self._rounds.run(self._obey_all)

    async def _obey_all(self) -> None:
        """
        Raises:
            Transient: some are still to be done, of runs that could not be asked now.
        """
        later: dict[str, Transient] = {}
        for request in await self._store.read(lambda c: run_requests.of_engines(c, CLUSTER)):
            if request.run_id in later:  # what is asked of one run is done in order
                continue
            try:
                await self._obey(request)
            except Unreachable:
                raise
            except Transient as error:
                later[request.run_id] = error
        if later:
            raise next(iter(later.values()))

    async def _obey(self, request: RequestRow) -> None:
        row = await self._store.read(lambda c: runs.get(c, request.run_id))
        if row is not None and row.object is not None:
            try:
                if (options := retry_asked(request.body)) is not None:
                    await self._requests.retry(row, options)
                else:
                    await self._requests.ask(row, request_of(request.body))
            except Transient:
                raise
            except RetrainError as error:  # the answer is no, and stays no
                log.warning("run.not_asked", run_id=row.id, asked=request.body.get("verb"), reason=str(error))
        await self._store.write(lambda c: run_requests.done(c, [request.id]))
