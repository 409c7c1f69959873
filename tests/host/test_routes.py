"""Every address of this pack, asked by its owner, by others, by nobody and by pages of other sites."""

import asyncio
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import folder_paths
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from comfy.cli_args import args

from guidance_geometry.files.places import TAB_FOLDER
from guidance_geometry.host.editor import addresses, choices, panel_record, routes, run_store, taps
from guidance_geometry.host.editor.users import folder_of
from guidance_geometry.measure.levels import LEVELS
from guidance_geometry.tests.traces import exact_trace
from guidance_geometry.trace.file import save

JSON = {"Content-Type": "application/json"}
PICKS = {"format": "guidance-geometry/picks", "version": 1, "model": {"name": "m", "key": "k"}}
PICKS["picks"] = [{"cfg": 4.0, "sampler_class": "ode", "good": True}]
SMALL, LARGE = "a" * 20 + ".json", "b" * 20 + ".json"
OUTPUTS = {"8": {"gg_record": [{"v": 1, "mine": True}]}, "9": {"gg_record": [{"v": 1, "file": {"filename": LARGE}}]}}


class Queue:
    """What the host remembers of the jobs that ran."""

    def __init__(self):
        self.history, self.currently_running = {}, {}

    def get_history(self, prompt_id=None, map_function=lambda entry: entry):
        return {name: map_function(entry) for name, entry in self.history.items() if prompt_id in (None, name)}


@pytest.fixture(params=[False, True], ids=["one user", "several users"])
def live(request, host, monkeypatch, tmp_path):
    """What the host's server has, with its own user manager, for one user or for several."""
    from app.user_manager import UserManager

    monkeypatch.setattr(args, "multi_user", request.param)
    monkeypatch.setattr(folder_paths, "user_directory", str(tmp_path / "user"))
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path / "temp"))
    app = web.Application(client_max_size=1 << 26)
    live = SimpleNamespace(app=app, routes=web.RouteTableDef(), user_manager=UserManager(), prompt_queue=Queue())
    live.user_manager.users |= {"her": "her", "him": "him"} if request.param else {}
    live.add_on_prompt_handler = lambda handler: None
    monkeypatch.setitem(sys.modules, "server", SimpleNamespace(PromptServer=SimpleNamespace(instance=live)))
    live.several, live.owner = request.param, "her" if request.param else "default"
    live.picks = tmp_path / "user" / live.owner / "guidance_geometry" / "picks"
    return live


@cache
def drawn(cfg):
    return exact_trace(cfg, steps=4, batch=2)


def keep(store, user, name, cfg, model="k", ratio=1.0, strength=1.0, knobs=()):
    """Keep a run of a user that was measured: its pictures are so strange to the model."""
    sums = dict.fromkeys(("along", "length", "error", "expected"), [[1.0, 1.0]] * len(LEVELS))
    measured = {"evaluations": 8, "sigmas": [*LEVELS], **sums, "error": [[ratio, 1.1 * ratio]] * len(LEVELS)}
    measured["along"] = [[strength, strength]] * len(LEVELS)
    of_model = {"name": "m", "hash": model} if isinstance(model, str) else model
    facts = {"seed": 0, "cfg": cfg, "measured": measured, "model": of_model, "knobs": list(knobs)}
    trace, folder = drawn(cfg), panel_record.temporary_folder(TAB_FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    save(replace(trace, header={**trace.header, **facts}), folder / f"{name}.safetensors")
    place = run_store.RunPlace("j", "5", "KSampler", 0, 0, "1234", name, 3, "", 1.0)
    store.add(run_store.StoredRun(place, user, b"{}", frozenset({f"{name}.safetensors"}), 10))


@pytest.fixture
def site(live, monkeypatch, tmp_path):
    """The addresses of this pack, with a run, a job and a record of "her"; the host serves each below /api too."""
    store, readers = run_store.RunStore(), {SMALL: {live.owner}}
    for module in (run_store, routes, choices):
        monkeypatch.setattr(module, "STORE", store)
    monkeypatch.setattr(routes, "READERS", readers)
    addresses.answer_panels()
    taps.watch_prompts()
    live.app.add_routes(live.routes)
    live.app.add_routes([web.route(one.method, f"/api{one.path}", one.handler) for one in live.routes])
    (tmp_path / "web").mkdir()
    live.app.add_routes([web.static("/", tmp_path / "web")])
    place = run_store.RunPlace("j", "4", "KSampler", 0, 0, "1234", "r", 3, "", 1.0)
    store.add(run_store.StoredRun(place, live.owner, b'{"run": "r"}', frozenset(), 10))
    for name, cfg in (("m1", 1.0), ("m2", 2.0)):
        keep(store, live.owner, name, cfg)
    job = (0, "j", {}, {"guidance_geometry": {"user": live.owner}}, [])
    live.prompt_queue.history["j"] = {"prompt": job, "outputs": OUTPUTS}
    folder = panel_record.temporary_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for name in (SMALL, LARGE):
        (folder / name).write_text('{"v": 1}')
    live.loop = asyncio.new_event_loop()

    async def client():
        started = TestClient(TestServer(live.app))
        await started.start_server()
        return started

    live.store = store
    live.client = live.loop.run_until_complete(client())
    yield live
    live.loop.run_until_complete(live.client.close())
    live.loop.close()


def answers_to(site, *requests):
    """Status and body of each of several requests: (method, path, headers, body), one after another."""

    async def answers():
        found = []
        for method, path, headers, body in requests:
            answer = await site.client.request(method, path, headers=headers, data=body)
            found.append((answer.status, await answer.read()))
        return found

    return site.loop.run_until_complete(answers())


def ours(site):
    """Method and path of everything of ours that the host's router knows, with what we have filled in."""
    filled = {"{job}": "j", "{node}": "8", "{name}": SMALL, "{run}": "r"}
    found = []
    for route in site.app.router.routes():
        path = route.resource.canonical if route.resource else ""
        if "/guidance_geometry/" in path:
            for name, value in filled.items():
                path = path.replace(name, value)
            assert "{" not in path, "a new address: say here what to fill in"
            of_model = path.endswith(("/picks", "/measured"))
            query = "?key=k" if of_model else "?workflow_id=1234" if path.endswith("/runs") else ""
            found.append((route.method, path + query))
    assert len(found) >= 2 * 8
    return found


def as_user(site, name):
    return {"comfy-user": name} if name and site.several else {}


def with_body(method, path):
    if method != "POST":
        return None
    return json.dumps({"runs": ["m1", "m2"], "knob": "cfg"} if "/measured" in path else PICKS)


SEVERAL = pytest.mark.parametrize("live", [True], indirect=True, ids=["several users"])


def test_the_owner_gets_everything(site):
    requests = [(method, path, as_user(site, "her") | JSON, with_body(method, path)) for method, path in ours(site)]
    for (method, path, *_), (status, _) in zip(requests, answers_to(site, *requests), strict=True):
        assert status in (200, 204), (method, path)


@SEVERAL
def test_others_get_nothing_of_it(site):
    """Who owns nothing sees that there is nothing, or that it is not his; the host decides whom it knows."""
    for user, wanted in (("him", {404}), ("nobody", {401}), (None, {401}), ("../her", {401}), ("__system", {401})):
        requests = [("POST", "/guidance_geometry/picks?key=k", as_user(site, "her") | JSON, json.dumps(PICKS))]
        requests += [(method, path, as_user(site, user) | JSON, with_body(method, path)) for method, path in ours(site)]
        for (method, path, *_), (status, body) in list(zip(requests, answers_to(site, *requests), strict=True))[1:]:
            personal = path.endswith(("/picks?key=k", "/runs?workflow_id=1234"))  # each has his own
            personal |= "/measured" in path and method != "POST"  # which names runs
            assert status in ({200, 204} if personal and user == "him" else wanted), (user, method, path, status)
            assert b'"mine"' not in body
            assert user != "him" or method == "POST" or b'"cfg"' not in body
            assert b'"run": "r"' not in body
        assert json.loads((site.picks / next(iter(site.picks.iterdir())).name).read_text())["picks"]


MEASURED = "/guidance_geometry/measured"


def told(site, method, query="", user="her", **asked):
    """Status and answer about curves.  asked: what is sent"""
    body = json.dumps(asked) if asked else None
    ((status, answer),) = answers_to(site, (method, MEASURED + query, as_user(site, user) | JSON, body))
    return status, json.loads(answer or b"null")


def test_a_curve_is_made_of_runs_kept_for_their_model_shown_and_forgotten(site):
    for name, cfg, ratio in (("a", 1.0, 1.0), ("b", 4.0, 1.21), ("c", 8.0, 1.69)):
        keep(site.store, site.owner, name, cfg, ratio=ratio)
    assert told(site, "GET", "?key=k") == (204, None)
    status, made = told(site, "POST", runs=["a", "b", "c"], knob="cfg")
    assert (status, made["model"]) == (200, {"name": "m", "key": "k"})
    (curve,) = made["curves"]
    assert (curve["values"], curve["pictures"], curve["least"]) == ([1, 4, 8], 2, 1)
    assert [round(times, 2) for times, *_ in curve["times_as_strange"]] == [1, 1.21, 1.69]
    assert told(site, "GET", "?key=k") == (200, made)
    status, pair = told(site, "POST", runs=["b", "c"], knob="cfg", keep=False)
    assert (status, [one["values"] for one in pair["curves"]]) == (200, [[4, 8]])
    assert pair["curves"][0]["gate"] is None, "nothing of it was made at cfg 1"
    assert told(site, "GET", "?key=k") == (200, made), "a curve of two values does not replace one of three"
    assert told(site, "DELETE", "?key=k") == (204, None)
    assert told(site, "GET", "?key=k") == (204, None)


LORA = {"kind": "lora", "name": "strength_model", "key": "strength_model, detail, cfg 4", "model": "k+0"}


def test_runs_at_several_strengths_of_a_lora_make_one_curve_and_pictures_of_a_person_name_a_value_on_it(site):
    for name, value, strength in (("a", 0.0, 1.0), ("b", 0.5, 1.4), ("c", 1.0, 2.2)):
        knob = {**LORA, "value": value}
        facts = {"model": {"name": "m", "hash": "k", "patches": f"{value}"}, "knobs": [knob], "strength": strength}
        keep(site.store, site.owner, name, 4.0, **facts)
    asked = {"run": "c", "knob": LORA["key"], "prompt_strength": [1.2, 1.0, 9.0]}
    assert told(site, "POST", **asked)[0] == 400, "nothing was measured"
    status, made = told(site, "POST", runs=["a", "b", "c"], knob=LORA["key"])
    assert (status, made["model"]["key"], made["curves"][0]["values"]) == (200, "k+0", [0, 0.5, 1])
    assert told(site, "POST", runs=["a", "b"], knob="cfg")[0] == 400, "two models, of which each has a cfg"
    status, named = told(site, "POST", **asked)
    assert (status, named["value"]) == (200, [pytest.approx(0.25), 0, None])
    report = json.loads(
        answers_to(site, ("GET", "/guidance_geometry/tab/runs/c/report", as_user(site, "her"), None))[0][1]
    )
    assert (list(report["curves"]), report["curve"]) == ([LORA["key"]], None)


REFUSED = {
    "of two models": ({"runs": ["m1", "other"], "knob": "cfg"}, "one model"),
    "gone": ({"runs": ["m1", "none"], "knob": "cfg"}, "gone"),
    "at one value": ({"runs": ["m1", "m1"], "knob": "cfg"}, "two values of cfg"),
    "not measured": ({"runs": ["m1", "r"], "knob": "cfg"}, "gone"),
    "no knob": ({"runs": ["m1", "m2"]}, "knob is missing"),
    "kept perhaps": ({"runs": ["m1", "m2"], "knob": "cfg", "keep": 3}, "keep is 3"),
}


@pytest.mark.parametrize(("asked", "words"), REFUSED.values(), ids=REFUSED)
def test_runs_that_make_no_curve_are_refused_with_the_reason(site, asked, words):
    keep(site.store, site.owner, "other", 2.0, model="z")
    status, answer = told(site, "POST", **asked)
    assert status == 400
    assert words in answer["error"]
    assert told(site, "GET", "?key=k") == (204, None)


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff", b"", b"7"])
def test_a_body_that_is_no_table_of_runs_is_refused(site, body):
    ((status, answer),) = answers_to(site, ("POST", MEASURED, as_user(site, "her") | JSON, body))
    assert status == 400
    assert json.loads(answer)["error"]


@SEVERAL
def test_runs_of_somebody_else_make_no_curve_and_everyone_has_curves_of_his_own(site):
    assert told(site, "POST", runs=["m1", "m2"], knob="cfg")[0] == 200
    ((status, _),) = answers_to(
        site,
        ("POST", MEASURED, as_user(site, "him") | JSON, json.dumps({"runs": ["m1", "m2"], "knob": "cfg"})),
    )
    assert status == 404
    assert told(site, "DELETE", "?key=k", user="him") == (204, None)
    assert told(site, "GET", "?key=k", user="him") == (204, None)
    assert told(site, "GET", "?key=k")[0] == 200


FOREIGN = [
    ("studio.lan", "http://evil.example"),
    ("studio.lan", "https://studio.lan:1"),
    ("localhost", "null"),
    ("192.168.1.20:8188", "http://["),
]


def test_pages_of_other_sites_get_and_write_nothing(site):
    for called, origin in FOREIGN:
        headers = as_user(site, "her") | JSON | {"Host": called, "Origin": origin}
        requests = [(method, path, headers, with_body(method, path)) for method, path in ours(site)]
        for (method, path, *_), (status, body) in zip(requests, answers_to(site, *requests), strict=True):
            assert status == 403, (method, path, called, origin)
            assert b"cfg" not in body
    assert not site.picks.exists()


def test_its_own_pages_and_those_that_the_host_lets_in_are_answered(site, monkeypatch):
    def post(**more):
        headers = as_user(site, "her") | JSON | {"Host": "studio.lan"} | more
        return answers_to(site, ("POST", "/guidance_geometry/picks?key=k", headers, json.dumps(PICKS)))[0][0]

    assert post(Origin="http://studio.lan") == 200
    behind = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "same-origin"}
    assert post(**behind) == 200, "behind a server that calls the host by another name, as a browser says itself"
    monkeypatch.setattr(args, "enable_cors_header", "https://friend.example")
    assert [post(Origin=f"https://{name}.example") for name in ("friend", "other")] == [200, 403]


def test_what_is_sent_must_be_json(site):
    for kind in ({"Content-Type": "text/plain"}, {}):
        for method, path in ours(site):
            if method in ("POST", "DELETE", "PUT", "PATCH"):
                headers = as_user(site, "her") | kind
                ((status, body),) = answers_to(site, (method, path, headers, json.dumps(PICKS)))
                assert (status, "application/json" in json.loads(body)["error"]) == (415, True), (method, path)
    assert not site.picks.exists()


def test_what_is_sent_is_bounded_before_it_is_read(site):
    async def pieces():
        for _ in range(40):
            yield b" " * 100_000

    headers = as_user(site, "her") | JSON
    for body in (pieces(), b" " * 4_000_000):
        ((status, said),) = answers_to(site, ("POST", "/guidance_geometry/picks?key=k", headers, body))
        assert (status, "1,000,000 bytes" in json.loads(said)["error"]) == (413, True)
    assert not site.picks.exists()


@pytest.mark.parametrize("user", ["", "..", "/tmp/x", "a/../..", "a\0b", "__system", "linked", "inside"])
def test_the_folder_of_a_user_lies_below_the_hosts(host, monkeypatch, tmp_path, user):
    root = tmp_path / "user"
    (root / "her").mkdir(parents=True)
    (root / "linked").symlink_to(tmp_path)
    (root / "inside").symlink_to(root / "her")
    monkeypatch.setattr(folder_paths, "user_directory", str(root))
    assert folder_of("her") == root / "her"
    assert folder_of(user) == (root / "her" if user == "inside" else None)
    monkeypatch.delattr(folder_paths, "get_public_user_directory", raising=False)
    assert user == "__system" or folder_of(user) == (root / "her" if user == "inside" else None)


@pytest.fixture
def kept(host, tmp_path, monkeypatch):
    monkeypatch.setattr(routes, "temporary_folder", lambda subfolder: tmp_path)
    return routes


def queue_with(outputs):
    entry = {"prompt": (0, "job", {}, {}, []), "outputs": outputs}
    return SimpleNamespace(get_history=lambda map_function, prompt_id=None: {"job": map_function(entry)})


FILE = {"filename": ["large.json"]}
SHOWN = {  # what node 8 left -> the answer
    "a list of traces": ({"gg_record": [{"run": "a"}, {"run": "b"}]}, {"run": "a"}),
    "no record": ({"gg_record": []}, None),
    "a list": ([1], None),
    "a number in a list": ({"gg_record": [float("nan")]}, None),
    "no file": ({"gg_record": [{"file": None}]}, 204),
    "no name of a file": ({"gg_record": [{"file": FILE}]}, 204),
    "no JSON": ({"gg_record": [{"rms": {1, 2}}]}, 204),
}


@pytest.mark.parametrize(("shown", "answer"), SHOWN.values(), ids=SHOWN)
def test_a_panel_gets_one_record_or_nothing_whatever_its_node_showed(kept, shown, answer):
    response = kept.run_of(queue_with({"8": shown}), "default", "job", "8")
    assert response.status == (204 if answer == 204 else 200)
    assert answer == 204 or json.loads(response.body) == answer
    assert not kept.was_shown(queue_with({"8": shown}), "default", "small.json")


def test_a_large_record_is_sent_from_its_file_and_not_read_in_the_event_loop(kept, tmp_path, monkeypatch):
    (tmp_path / "large.json").write_text("{}")
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("read in the event loop"))
    outputs = {"8": {"gg_record": [{"file": {"filename": "large.json"}}]}}
    assert kept.was_shown(queue_with(outputs), "default", "large.json")
    for response in (kept.run_of(queue_with(outputs), "default", "job", "8"), kept.record_named("large.json")):
        assert isinstance(response, web.FileResponse)
        assert response.headers["Cache-Control"] == "no-store"
    assert kept.record_named("gone.json").status == 204


def test_the_models_that_one_has_picks_of_are_bounded(site, monkeypatch):
    monkeypatch.setattr(choices, "MOST_MODELS", 3)
    sent = [(key, json.dumps(PICKS | {"model": {"name": "m", "key": key}})) for key in "abcda"]
    headers = as_user(site, "her") | JSON
    answers = answers_to(site, *(("POST", f"/guidance_geometry/picks?key={key}", headers, body) for key, body in sent))
    assert [status for status, _ in answers] == [200, 200, 200, 400, 200]
    assert len(list(site.picks.iterdir())) == 3
