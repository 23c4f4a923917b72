"""A model server that follows the deployment repository: what Argo CD and KServe do on a cluster, on a laptop.

Looks at the branch four times a second, loads the model that the manifest names, and answers KServe's v2 protocol over
HTTP. Pixels go in as they are, 0 to 16. It reads the repository and writes nothing.
Source: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

import argparse
import json
import pickle
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

LOOK_S = 0.25


@dataclass(frozen=True)
class Model:
    """A model that is loaded. `version`: the digest of its bytes."""

    version: str
    predictor: Any

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """What the protocol answers to an inference request."""
        given = body["inputs"][0]
        said = self.predictor.predict(np.array(given["data"], dtype=float).reshape(given["shape"]))
        output = {"name": "digit", "data": [int(one) for one in said], "shape": [len(said)], "datatype": "INT64"}
        return {"outputs": [output], "model_name": "digits", "model_version": self.version}


class Follower:
    """Keeps the model that a branch's manifest names. `model` is None until one could be loaded."""

    def __init__(self, repo: Path, manifest: str) -> None:
        self.repo = repo
        self.manifest = manifest
        self.commit = ""
        self.model: Model | None = None

    def follow(self) -> None:
        """Look for ever."""
        while True:
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - whatever it is, the model before serves on, as on a cluster
                print(f"cannot follow: {error}", file=sys.stderr)
            time.sleep(LOOK_S)

    def _look(self) -> None:
        commit = self._git("rev-parse", "main").strip()
        if commit == self.commit:
            return
        named = re.search(r"storageUri: *'?file://([^'\s]+)", self._git("show", f"{commit}:{self.manifest}"))
        folder = Path(named[1]) if named else None
        if folder is not None and folder.is_dir():
            self.model = load(folder)
            print(f"{commit[:12]}: {self.model.version}", file=sys.stderr)
        self.commit = commit

    def _git(self, *words: str) -> str:
        return subprocess.run(["git", "-C", self.repo, *words], check=True, capture_output=True, text=True).stdout


def load(folder: Path) -> Model:
    """The model in `MODELS/sha256-DIGEST`, if its bytes have the digest."""
    content = (folder / "model.pickle").read_bytes()
    digest = sha256(content).hexdigest()
    if folder.name != f"sha256-{digest}":
        raise ValueError(f"{folder} has other bytes: sha256-{digest}")
    # Our own file: pickle is no format for models of strangers.
    return Model(f"sha256:{digest}", pickle.loads(content))


class Door(BaseHTTPRequestHandler):
    """`GET /v2/models/digits` says which model is loaded; `POST /v2/models/digits[/versions/V]/infer` asks it."""

    follower: Follower

    def do_GET(self) -> None:
        model = self.follower.model
        if self.path != "/v2/models/digits" or model is None:
            return self._say(404, {"error": "no model is loaded yet"})
        return self._say(200, {"name": "digits", "versions": [model.version], "platform": "sklearn"})

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        model = self.follower.model
        wanted = re.fullmatch(r"/v2/models/digits(?:/versions/([^/]+))?/infer", self.path)
        if wanted is None or model is None or wanted[1] not in {None, model.version}:
            return self._say(404, {"error": f"not loaded; there is {model.version if model else 'no model yet'}"})
        try:
            return self._say(200, model.answer(json.loads(content)))
        except (ValueError, LookupError, TypeError) as error:
            return self._say(400, {"error": str(error)})

    def _say(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not told."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repo", type=Path, required=True)
    parser.add_argument("--manifest", required=True, help="the file that names the model")
    options = parser.parse_args()
    Door.follower = Follower(options.repo, options.manifest)
    threading.Thread(target=Door.follower.follow, daemon=True).start()
    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
