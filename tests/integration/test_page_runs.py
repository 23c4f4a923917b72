"""Views of runs without a browser: folded trees, chosen columns, comparisons, artifacts, and forms that act."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from pipelines.core.naming import node_id
from retrain.store import run_requests, runs
from tests.integration.page_house import House, Seen
from tests.integration.runs_world import evaluation, fan_out, keep, node, runs_house, submit

EVIL = "\"'><img src=x onerror=alert(1)></script><script>alert(2)</script>\u202egnp.\u2066\x1b[31m"
HOSTILE = (
    "<!doctype html><script>parent.x=1</script><form action=/ui/runs/stop method=post><button>Go</button></form>"
    "<a href=/ui/ target=_top>home</a><img src=/ui/static/mark.svg>"
)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncGenerator[House]:
    async with runs_house(tmp_path) as found:
        yield found


async def view(shop: House, path: str, name: str = "") -> Seen:
    async with shop.visitor(name) as visitor:
        answer = await visitor.get(path)
    assert answer.status_code == 200, answer.text
    return Seen(answer.text)


def links(seen: Seen, beginning: str) -> list[str]:
    found = [words.get("href") or "" for tag, words in seen.tags if tag == "a"]
    return [link for link in found if link.startswith(beginning)]


def word(seen: Seen) -> str:
    return next(words["value"] or "" for tag, words in seen.tags if tag == "input" and words.get("name") == "word")


async def test_a_large_run_is_folded_and_opens_page_by_page_failed_first(shop: House) -> None:
    bad = frozenset({7, 450})
    await shop.store.write(lambda c: submit(c, "big", fan_out("big", 500, bad), phase="Failed"))

    closed = await view(shop, "/ui/run?name=big")
    assert "498 Succeeded" in closed.text
    assert "What failed" in closed.text
    assert "train(450:item-450)" in closed.text
    assert len([1 for tag, words in closed.tags if tag == "tr" and (words.get("id") or "").startswith("n-")]) < 10
    assert "500 CPU hours" in closed.text
    assert "nvidia.com/gpu hours" in closed.text

    opened = await view(shop, next(link for link in links(closed, "/ui/run?name=big&open=big-train")).partition("#")[0])
    rows = [
        words["id"] or "" for tag, words in opened.tags if tag == "tr" and (words.get("id") or "").startswith("n-big-")
    ]
    steps = [one for one in rows if one.removeprefix("n-big-").isdecimal()]
    assert len(steps) == 100
    assert set(steps[:2]) == {"n-big-7", "n-big-450"}
    further = await view(
        shop, next(one for one in links(opened, "/ui/run?") if "big-train%3A100" in one).partition("#")[0]
    )
    others = {
        words["id"] for tag, words in further.tags if tag == "tr" and (words.get("id") or "").startswith("n-big-")
    }
    assert not others & set(steps)


async def test_a_small_run_is_open_and_drawn_with_its_times(shop: House) -> None:
    await shop.store.write(lambda c: submit(c, "small", fan_out("small", 3), phase="Succeeded"))

    seen = await view(shop, "/ui/run?name=small&node=small-1")

    assert {f"n-small-{n}" for n in range(3)} <= {words.get("id") for tag, words in seen.tags if tag == "tr"}
    assert [tag for tag, _ in seen.tags].count("svg") == 2
    assert "Inputs and outputs of train(1:item-1)" in seen.text
    assert "1m" in seen.text


async def test_columns_and_order_are_chosen_and_said(shop: House) -> None:
    def work(c: Connection) -> None:
        for n, (lr, accuracy) in enumerate((("0.1", 0.9), ("0.01", 0.95), ("0.001", 0.8))):
            submit(
                c,
                f"run-{n}",
                fan_out(f"run-{n}", 1),
                parameters={"lr": lr},
                outputs={"candidate": evaluation(accuracy)},
            )

    await shop.store.write(work)
    where = "/ui/runs?columns=param:lr,metric:accuracy,label:team&sort=-metric:accuracy"
    seen = await view(shop, where)
    async with shop.visitor() as visitor:
        said = (await visitor.get(where.replace("/ui/", "/api/v1/"))).json()
        wrong = await visitor.get("/ui/runs?columns=lr")
        other = await visitor.get("/ui/runs?sort=metric:none&limit=2")

    assert [one["metadata"]["name"] for one in said["items"]] == ["run-1", "run-0", "run-2"]
    assert said["items"][0]["columns"] == {"param:lr": "0.01", "metric:accuracy": 0.95, "label:team": None}
    assert said["sorted"] == {"by": "-metric:accuracy", "runs": 3, "all": True}
    assert "Sorted by metric:accuracy: all 3 that fit" in seen.text
    assert [words.get("aria-sort") for tag, words in seen.tags if words.get("aria-sort")] == ["descending"]
    assert wrong.status_code == 422
    assert "param:NAME" in wrong.text
    assert "cursor=s2" in other.text


async def test_runs_are_compared_in_page_and_api_alike(shop: House, tmp_path: Path) -> None:
    def work(c: Connection) -> None:
        for n, accuracy in enumerate((0.9, 0.95, 0.9)):
            file = tmp_path / "model.bin"
            file.write_bytes(b"same" if n else b"other")
            made = node(f"c-{n}", "train", outputs={"artifacts": [keep(tmp_path, f"c-{n}", "train", file)]})
            root = node(f"c-{n}", "", children=[f"c-{n}-train"])
            nodes = {one["id"]: one for one in (root, made)}
            image = {"name": "train", "container": {"image": f"trainer:{n // 2}"}}
            words = {"parameters": {"lr": f"0.{n}", "seed": "1"}, "templates": [image], "seconds": 60 * (n + 1)}
            submit(c, f"c-{n}", nodes, outputs={"candidate": evaluation(accuracy)}, **words)

    await shop.store.write(work)
    seen = await view(shop, "/ui/runs/compare?name=c-0&name=c-1&name=c-2")
    async with shop.visitor() as visitor:
        said = (await visitor.get("/api/v1/compare?name=c-0&name=c-1&name=c-2")).json()
        alone = await visitor.get("/ui/runs/compare?name=c-0&name=r-c-0")
        gone = await visitor.get("/ui/runs/compare?name=c-0&name=no")

    accuracy = next(row for row in said["metrics"] if row["name"] == "accuracy")
    assert accuracy["better"] == "higher"
    assert accuracy["best"] == [1]
    assert accuracy["deltas"] == pytest.approx([0, 0.05, 0])
    assert [row["same"] for row in said["parameters"]] == [False, True]
    assert [one["seconds"] for one in said["runs"]] == [60, 120, 180]
    digests = said["artifacts"][0]["digests"]
    assert digests[1] == digests[2] != digests[0]
    assert said["images"][0]["values"] == ["trainer:0", "trainer:0", "trainer:1"]
    assert [line["run"] for line in said["curves"][0]["lines"]] == [0, 1, 2]
    assert "+0.05" in seen.text
    assert "best" in seen.text
    assert "1 is the same in all runs" in seen.text
    assert alone.status_code == 422
    assert gone.status_code == 404


async def test_what_steps_wrote_is_shown_and_walled_off(shop: House, tmp_path: Path) -> None:
    files = {
        "page.html": HOSTILE.encode(),
        "plot.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "plot.png": b"\x89PNG\r\n\x1a\n" + bytes(20),
        "table.csv": f"a,b\n1,x{EVIL}\n".encode() + b"2,3\n" * 500,
        "notes.json": b'{"a": [1]}',
        "model.bin": bytes(100),
    }
    artifacts: list[Any] = []
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        artifacts.append(keep(tmp_path, "art", "train", tmp_path / name))
    nodes = {"art": node("art", ""), "art-train": node("art", "train", outputs={"artifacts": artifacts})}
    await shop.store.write(lambda c: submit(c, "art", nodes))
    where = "/ui/run/artifact?name=art&node=art-train&artifact="

    async with shop.visitor() as visitor:
        for name, kind in (("page.html", "text/html"), ("plot.svg", "image/svg+xml"), ("plot.png", "image/png")):
            shown = await visitor.get(where + name)
            frame = next(words for tag, words in Seen(shown.text).tags if tag == "iframe")
            assert frame["sandbox"] == ""
            assert "frame-src 'self'" in shown.headers["content-security-policy"]
            body = await visitor.get(frame["src"] or "", headers={"sec-fetch-dest": "iframe"})
            policy = body.headers["content-security-policy"]
            assert policy.startswith("sandbox; default-src 'none'")
            assert "allow-" not in policy
            assert body.headers["x-content-type-options"] == "nosniff"
            assert body.headers["content-type"].startswith(kind)
            assert body.content == files[name]
            alone = await visitor.get(frame["src"] or "", headers={"sec-fetch-dest": "document"})
            assert alone.headers["content-disposition"] == "attachment"
        table = await visitor.get(where + "table.csv")
        assert "<img" not in table.text
        assert "The first 200 rows" in table.text
        assert "iframe" not in table.text
        assert '"a": [' in Seen((await visitor.get(where + "notes.json")).text).text
        assert "neither text nor a picture" in (await visitor.get(where + "model.bin")).text
        refused = await visitor.get(where.replace("artifact?", "artifact/body?") + "table.csv")
        assert refused.status_code == 422
        assert refused.headers["content-type"].startswith("text/html")
        look = (await visitor.get("/api/v1/runs/art/artifacts/art-train/table.csv/look")).json()
        assert (look["kind"], look["table"]["header"], look["cut"]) == ("table", ["a", "b"], True)


async def test_a_step_that_waits_is_answered_with_its_outputs(shop: House) -> None:
    key = node_id("wait", "wait.ask")
    asked = node("wait", "ask", id=key, type="Suspend", phase="Running", finishedAt=None)
    asked["outputs"] = {"parameters": [{"name": "verdict"}, {"name": "why"}]}
    nodes = {"wait": node("wait", "", phase="Running", finishedAt=None, children=[key]), key: asked}
    await shop.store.write(lambda c: submit(c, "wait", nodes, phase="Running"))

    seen = await view(shop, "/ui/run?name=wait")
    assert "ask waits for people" in seen.text
    assert "Shall it be deployed?" in seen.text
    fields = {words.get("name"): tag for tag, words in seen.tags if (words.get("name") or "").startswith("o.")}
    assert fields == {"o.verdict": "select", "o.why": "input"}

    form = {"word": word(seen), "id": "r-wait", "node": key, "as": "go", "o.verdict": "yes", "o.why": "good"}
    async with shop.visitor() as visitor:
        wrong = await visitor.post("/ui/runs/answer", data={**form, "o.verdict": "perhaps"})
        strange = await visitor.post("/ui/runs/answer", data={**form, "word": "no"})
        good = await visitor.post("/ui/runs/answer", data=form)

    assert (wrong.status_code, strange.status_code, good.status_code) == (422, 403, 303), good.text
    assert "must be one of yes, no" in wrong.text
    bodies = [one.body for one in await shop.store.read(lambda c: run_requests.of_run(c, "r-wait"))]
    assert len(bodies) == 1
    assert "good" in str(bodies[0])


async def test_a_run_is_made_again_with_other_parameters_and_a_step_retried(shop: House) -> None:
    nodes = fan_out("old", 2)
    words: dict[str, Any] = {"parameters": {"lr": "0.1", "text": "a\nb"}, "labels": {"team": "x"}}
    await shop.store.write(lambda c: submit(c, "old", nodes, **words))

    again = await view(shop, "/ui/run/again?name=old&verb=resubmit")
    fields = {
        words["name"]: words.get("value") for tag, words in again.tags if (words.get("name") or "").startswith("p.")
    }
    assert fields == {"p.lr": "0.1", "p.text": None}
    form = {"word": word(again), "id": "r-old", "p.lr": "0.5", "p.text": "a\r\nb"}
    async with shop.visitor() as visitor:
        made = await visitor.post("/ui/runs/resubmit", data=form)
        assert made.status_code == 303, made.text
        name = made.headers["location"].partition("name=")[2]
        row = await shop.store.read(lambda c: runs.get(c, name))
        assert row is not None
        assert [one["value"] for one in row.manifest["spec"]["arguments"]["parameters"]] == ["0.5", "a\nb"]  # type: ignore[index, call-overload]

        step = await view(shop, "/ui/run/again?name=old&verb=retry&node=old-1")
        assert "train(1:item-1) runs again" in step.text
        done = await visitor.post(
            "/ui/runs/retry", data={"word": word(step), "id": "r-old", "node": "old-1", "p.lr": "0.1"}
        )
        assert done.status_code == 303
    kept = await shop.store.read(lambda c: runs.load_nodes(c, "r-old"))
    assert "old-0" in kept
    assert "old-1" not in kept
    assert "old-report" not in kept


async def test_what_may_not_be_done_is_neither_offered_nor_done(tmp_path: Path) -> None:
    async with runs_house(tmp_path, people=True) as shop:
        await shop.store.write(lambda c: submit(c, "bad", fan_out("bad", 2, frozenset({1})), phase="Failed"))
        for path in ("run?name=bad", "run/again?name=bad&verb=retry", "run/delete?name=bad"):
            seen = await view(shop, f"/ui/{path}", "vic")
            assert not [
                words
                for tag, words in seen.tags
                if tag == "form" and words.get("method") == "post" and "logout" not in (words.get("action") or "")
            ]
        async with shop.visitor("vic") as vic:
            answer = await vic.post("/ui/runs/retry", data={"word": "", "id": "bad"})
            assert answer.status_code == 403
        assert "Retry what failed" in (await view(shop, "/ui/run?name=bad", "eve")).text


async def test_hostile_names_and_messages_stay_text_in_all_views_of_runs(shop: House, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(EVIL + "x" * 300_000)
    artifact = {**keep(tmp_path, "evil", "train", tmp_path / "x.txt"), "name": EVIL}
    bad = {"phase": "Failed", "message": EVIL, "displayName": EVIL, "templateName": EVIL}
    nodes = {"evil": node("evil", ""), "evil-train": node("evil", "train", outputs={"artifacts": [artifact]}, **bad)}
    words: dict[str, Any] = {
        "parameters": {EVIL: EVIL},
        "labels": {"team": EVIL},
        "outputs": {EVIL: "1", "e": evaluation(0.5).replace("roc", "<b>")},
    }

    def work(c: Connection) -> None:
        submit(c, "evil", nodes, phase="Failed", message=EVIL, **words)
        submit(c, "evil2", fan_out("evil2", 2), **words)

    await shop.store.write(work)
    async with shop.visitor() as visitor:
        for path, query in (
            ("run", {"name": "evil"}),
            ("run", {"name": "evil", "node": EVIL, "open": EVIL}),
            ("run", {"name": "evil", "node": "evil-train"}),
            ("runs", {"columns": f"param:{EVIL[:40]},metric:{EVIL[:20]}", "sort": "-label:team"}),
            ("runs/compare", {"name": ["evil", "evil2"], "all": "true"}),
            ("run/again", {"name": "evil", "verb": "resubmit"}),
            ("run/delete", {"name": "evil"}),
            ("run/log", {"name": "evil"}),
            ("run/logs", {"name": "evil2", "node": ["evil2-0", "evil2-1"], "by": "start", "grep": EVIL[:9]}),
            ("run/logs", {"name": "evil2", "node": ["evil2-0"]}),
            ("run/artifact", {"name": "evil", "node": "evil-train", "artifact": EVIL}),
            ("run/artifact", {"name": "evil", "node": "evil-train", "artifact": EVIL, "path": EVIL}),
        ):
            answer = await visitor.get(f"/ui/{path}", params=query)
            seen = Seen(answer.text)
            assert answer.status_code < 500, (path, query, answer.text)
            assert not {"img", "iframe", "object", "style", "base", "b"} & {tag for tag, _ in seen.tags}, (path, query)
            names = {name for _, words in seen.tags for name in words}
            assert not [name for name in names if name.startswith("on") or name == "style"], path
            assert not [c for c in answer.text if c in "\u202e\u2066\x00\x1b"], path
            assert len(answer.text) < 1_000_000
