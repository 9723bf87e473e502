"""The page without a browser: what stands on it for every way of ending; strictly nested, escaped, with nothing from elsewhere."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from itertools import pairwise

import pytest
from PIL import Image

from ganforge.cli.app import main
from ganforge.report import report_images
from ganforge.report.page import write_report
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder, Status

SECTIONS = ["samples", "training", "losses", "metrics", "recipe", "lock", "environment", "next"]
NOT_MONITORED = "Not monitored: this run has no health findings."


def sections(page):
    return [attributes["id"] for attributes in page.all("section")]


def test_sections_stand_in_order_with_headings_and_links_to_them(made, page_of):
    page = page_of(made())

    assert page.html.startswith("<!doctype html>")
    assert page.all("html") == [{"lang": "en"}]
    assert sections(page) == SECTIONS
    assert [attributes["href"] for attributes in page.all("a") if attributes["href"].startswith("#")] == [
        "#content",
        *(f"#{one}" for one in SECTIONS),
    ]
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    identities = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(identities)) == len(identities)
    named = [attributes["aria-labelledby"] for attributes in page.all("section")]
    assert set(named) <= set(identities)


def test_the_page_of_a_finished_run_is_complete(made, page_of):
    text = page_of(made()).text

    assert "finished All 300 iterations are done, in 00:20 of training (15 it/s)." in text
    assert NOT_MONITORED in text
    assert "What it is. And why." in text
    assert "Generated samples at iteration 300" in text
    assert "real : cost of taking real samples for fakes" in text
    assert "at equilibrium log 2 = 0.693" in text
    assert "iterations = 300 # a comment that explains" in text
    assert "ganforge/non-saturating@1" in text
    assert "ab" * 32 in text
    assert "0123456789ab on main, with uncommitted changes" in text
    assert "cpu (1 thread)" in text
    assert "ganforge run '/tmp/my recipes/moons.toml' --set train.iterations=300" in text


def test_the_metrics_have_last_best_ideal_floor_direction_and_say_where_no_protocol_is(made, page_of):
    text = page_of(made()).text
    assert "wasserstein exact W₂ 0.25 300 0.15 at 200 – 0.005 ↓ lower not recorded" in text
    assert "modes/captured modes that samples reach 6 300 6 at 300 8 – ↑ higher not recorded" in text


def test_protocols_stand_beside_their_values(made, page_of):
    folder = made()
    protocol = {"samples": 2000, "params": {"order": 2}, "api_key": "canary-4711"}
    folder.write_json(folder.metrics, {"iteration": 300, "metrics": {"wasserstein": 0.25}, "protocols": {"wasserstein": protocol}})
    text = page_of(folder).text
    assert 'show samples 2000 params {"order": 2} api_key ***' in text
    assert "canary" not in text


def test_charts_have_equilibria_ideals_and_floors(made, page_of):
    page = page_of(made())
    names = re.findall(r'<text class="name"[^>]*>([^<]+)</text>', page.html)
    assert names == [
        "equilibrium log 2 = 0.693",
        "equilibrium log 4 = 1.386",
        "equilibrium log 2 = 0.693",
        "floor 0.005",
        "ideal 8",
    ]
    charts = [attributes for attributes in page.all("div") if attributes.get("role") == "img"]
    assert len(charts) == 4
    assert all(attributes["aria-label"] for attributes in charts)


def test_a_term_that_is_all_of_its_total_is_drawn_once(made, page_of):
    text = page_of(made()).text
    assert "adversarial : cost of fakes that are recognised" in text
    assert "what the generator descends" not in text


def test_pictures_are_in_the_page_and_have_words(made, page_of):
    pictures = page_of(made()).all("img")
    assert [attributes["src"][:16] for attributes in pictures].count("data:image/png;b") == 4
    assert [attributes["src"][:16] for attributes in pictures].count("data:image/gif;b") == 2
    assert all(attributes["alt"] and attributes["width"] == "40" and attributes["height"] == "30" for attributes in pictures)


def test_an_image_that_is_too_large_is_a_link(made, page_of, monkeypatch):
    folder = made()
    Image.effect_noise((400, 400), 90).save(folder.pictures / "training.gif")
    monkeypatch.setattr(report_images.ImageEmbedder.__init__, "__defaults__", (30_000, 10**6))
    page = page_of(folder)
    assert "MiB is too large for this page. See the file in the run folder: training.gif" in page.text
    assert "pictures/training.gif" in [attributes["href"] for attributes in page.all("a")]


def test_it_names_no_other_place_runs_nothing_and_allows_one_style(made, page_of):
    page = page_of(made())
    assert [tag for tag, _ in page.elements if tag in {"script", "link", "iframe", "object", "embed", "base", "form"}] == []
    for tag, attributes in page.elements:
        assert [name for name in attributes if name.startswith("on") or name == "style"] == [], tag
        for name in ("src", "href", "srcset", "xlink:href", "action", "data", "poster"):
            assert re.match(r"data:image/|#|pictures/", attributes.get(name, "#")), (tag, name)
    (style,) = re.findall("<style>(.*?)</style>", page.html, re.DOTALL)
    assert not re.search(r"url\(|@import|expression", style)
    (policy,) = [one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


HOSTILE = "<script>document.title='x'</script>\"'><img src=x onerror=alert(1)>\x1b[31m\u202e{{ 7 * 7 }}"


def test_texts_of_the_run_stay_texts(made, page_of):
    finding = {"check": HOSTILE, "problem": HOSTILE, "level": HOSTILE, "evidence": HOSTILE, "remedy": HOSTILE, "key": HOSTILE}
    folder = made(title=HOSTILE, standing="stopped", reason=HOSTILE, health={"verdict": HOSTILE, "findings": [finding]})
    folder.recipe.write_text(f"title = '''{HOSTILE}'''  # {HOSTILE}\n</code></pre><script>")
    folder.resolved.write_text(f'description = """</p>{HOSTILE}"""')
    folder.write_json(
        folder.path / "value_info.json", {"terms": {"generator/total": {"label": HOSTILE, "equilibrium": HOSTILE}}, "metrics": 3}
    )
    folder.write_json(folder.metrics, {"protocols": {"wasserstein": {HOSTILE: HOSTILE}}})
    folder.write_json(
        folder.lock, {"components": [{"key": HOSTILE, "id": HOSTILE}, 4], "distributions": 5, "data_files": [{"file": HOSTILE}]}
    )
    (folder.path / "evaluations.jsonl").write_text('{"ms": 1, "values": {"<script>": 1.5}}\nnot json\n')
    with JournalWriter(folder.journal) as writer:
        writer.record("changed", iteration=7, values={HOSTILE: [HOSTILE, HOSTILE]})

    page = page_of(folder)

    assert page.all("script") == []
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert "{{ 7 * 7 }}" in page.text
    assert "\u202e" not in page.text.split("As written")[0]


def test_what_a_resume_changed_stands_beside_what_the_run_began_with(made, page_of):
    folder = made()
    assert "Changed when resumed" not in page_of(folder).text
    with JournalWriter(folder.journal) as writer:
        writer.record("changed", iteration=1107, values={"health.on_fail": ["stop", "roll-back"], "title": ["", "Moons"]})
        writer.record("resume", iteration=1107)
    text = page_of(folder).text
    assert "health.on_fail 1,107 stop roll-back" in text
    assert "title 1,107 not set Moons" in text
    assert "With all defaults, original values" in text
    assert "in 00:20 of training since iteration 1,107" in text
    assert "training time 00:20 since iteration 1,107" in text


def test_secrets_stay_out(made, page_of):
    folder = made(standing="stopped", reason="the proxy http://me:canary@proxy refused")
    with JournalWriter(folder.journal) as writer:
        writer.record("changed", iteration=7, values={"tracking.tags.token": ["", "canary-4711"]})
    folder.recipe.write_text('[tracking]\ntags = { token = "canary-4711" }\n')
    html = page_of(folder).html
    assert "canary" not in html
    assert "tracking.token" in html


ENDINGS = {
    "Stopped at iteration 120 of 300: Ctrl-C.": {"standing": "stopped", "done": 120, "reason": "Ctrl-C"},
    "Diverged at iteration 7 of 300: total is nan.": {"standing": "diverged", "done": 7, "reason": "total is nan"},
    "Failed at iteration 7 of 300: RuntimeError: boom.": {"standing": "failed", "done": 7, "error": "RuntimeError: boom"},
    "Killed at iteration 7 of 300: it vanished.": {"standing": "killed", "done": 7, "reason": "it vanished"},
    "Killed at iteration 60 of 300: process vanished": {"standing": "running", "done": 60, "pid": 2**22 + 1, "heartbeat": 0.0},
    "Still running: at iteration 60 of 300 (20 %)": {"standing": "running", "done": 60, "host": "elsewhere"},
}


@pytest.mark.parametrize("text", ENDINGS)
def test_every_way_of_ending_has_its_page(made, page_of, text):
    page = page_of(made(**ENDINGS[text]))
    assert text in page.text
    assert sections(page) == SECTIONS
    goes_on = "ganforge run --resume" in page.text
    assert goes_on == ("running" not in text)


def test_the_traceback_of_a_run_that_failed_comes_first(made, page_of):
    folder = made(standing="failed", error="RuntimeError: boom")
    (folder.path / "crash.txt").write_text("Traceback: <b> boom")
    page = page_of(folder)
    assert sections(page) == ["crash", *SECTIONS]
    assert "Traceback: <b> boom" in page.text


def test_health_findings_have_remedy_and_key(made, page_of):
    finding = {
        "check": "discriminator-dominance", "problem": "vanishing gradient", "level": "fail", "evidence": "D tells all apart",
        "since": 100, "iteration": 300, "remedy": "lower its rate", "key": "discriminator.optimizer.lr",
    }  # fmt: skip
    text = page_of(made(health={"verdict": "fail", "findings": [finding]})).text
    assert "Health Training is failing. vanishing gradient iterations 100 to 300 D tells all apart" in text
    assert "What usually helps: lower its rate ( discriminator.optimizer.lr )" in text
    assert "Healthy" in page_of(made(health={"verdict": "healthy", "findings": []})).text


def test_later_evaluations_have_a_section_of_their_own(made, page_of):
    folder = made()
    one = {
        "number": 1, "time": "2026-11-22T16:00:00+00:00", "iteration": 300, "seed": 0, "versions": {"torch": "2"},
        "values": {"parzen": 242.7}, "measured_floors": {"parzen": 250.0},
        "value_info": {"parzen": {"label": "nats", "better": "higher"}}, "protocols": {"parzen": {"samples": 10000}},
        "failed": {"fid": {"error": "no weights", "remedy": ""}}, "remarks": ["slow"],
    }  # fmt: skip
    (folder.path / "evaluations.jsonl").write_text(json.dumps(one) + "\n")
    page = page_of(folder)
    assert sections(page)[4] == "evaluations"
    assert "2026-11-22 16:00:00 UTC iteration 300 · seed 0 Metric" in page.text
    assert "parzen nats 242.7 – 250 ↑ higher show samples 10000 fid: no weights slow" in page.text


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        '{"values": {"w": "x"}}',
        '{"number": 1, "iteration": 1, "values": {"w": 1.0}, "value_info": {"w": {}}, "protocols": {"w": {}}, "failed": [1]}',
    ],
)
def test_an_evaluation_of_another_form_does_not_prevent_the_page(made, page_of, line):
    folder = made()
    (folder.path / "evaluations.jsonl").write_text(line)
    assert page_of(folder)


def test_an_old_or_empty_folder_has_a_page_that_says_what_is_not_there(made, page_of):
    folder = made(pictures=False)
    for path in folder.path.iterdir():
        if path.is_file() and path != folder.identity:
            path.unlink()
    page = page_of(folder)
    assert sections(page) == SECTIONS
    for text in (
        "never reached its first iteration",
        "There are no pictures.",
        "There is no animation",
        "The journal contains no losses.",
        "No metrics were measured",
        "The run folder contains no recipe.",
        "There is no lock file for this run.",
    ):
        assert text in page.text


def test_a_run_without_meanings_says_so(made, page_of):
    folder = made()
    folder.value_info.unlink()
    assert "does not say what the losses mean" in page_of(folder).text


@pytest.mark.parametrize("name", ["status.json", "lock.json", "value_info.json", "metrics.json", "run.json", "events.jsonl"])
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b'{"status": [], "iteration": "x", "health": 3, "terms": [], "data": {"shape": 2}}', b"\xff\xfe\x00"],
)
def test_a_damaged_file_does_not_prevent_the_page(made, page_of, name, content):
    folder = made()
    (folder.path / name).write_bytes(content)
    assert sections(page_of(folder)) == SECTIONS


@pytest.mark.parametrize("key", ["reason", "error", "seconds", "heartbeat", "iteration", "iterations"])
@pytest.mark.parametrize("value", ["-1", "3.5", "true", "[[1]]", "1e400", "-1e400", "1" + 400 * "0", "NaN", '"x"', "null"])
def test_a_report_with_another_kind_of_value_does_not_prevent_the_page(made, page_of, key, value):
    folder = made()
    kept = ", ".join(
        f"{json.dumps(name)}: {json.dumps(one)}" for name, one in folder.read_json(folder.status).items() if name != key
    )
    folder.status.write_text(f'{{{kept}, "{key}": {value}}}')
    assert sections(page_of(folder)) == SECTIONS


def test_a_run_that_went_back_shows_what_it_kept(made, page_of):
    folder = made(done=250)  # it had reached 300 before, and was pictured then
    with JournalWriter(folder.journal) as writer:
        writer.record("rollback", iteration=200, reached=250, reason="mode collapse")
        for iteration in range(201, 251):
            writer.metrics(iteration, {"loss/generator/total": 0.7})
    text = page_of(folder).text
    assert "rolled back from 250 to 200" in text
    assert "15 it/s" in text  # 300 iterations in 20 s
    assert "Generated samples at iteration 0" in text


def test_half_of_a_pair_in_a_name_can_still_be_written(made, page_of):
    folder = made()
    identity = folder.read_json(folder.identity)
    folder.identity.write_text(str(identity).replace("'", '"').replace("None", "null").replace("Two moons", "\\ud800"))
    assert page_of(folder)


def test_long_runs_make_no_long_pages(made, page_of):
    short = len(page_of(made(done=300, pictures=False)).html)
    folder = made(done=4_000, pictures=False)
    assert len(page_of(folder).html) < 3 * short


def test_a_sweep_has_its_seeds_side_by_side(made, page_of):
    parent = made(pictures=False)
    identity = parent.read_json(parent.identity)
    parent.write_json(parent.identity, {**identity, "kind": "sweep", "seeds": [0, 2]})
    children = [made(seed=seed, parent=identity["id"]) for seed in (1, 0)]
    values = dict.fromkeys(("wasserstein", "modes/captured"), 0.75)
    children[1].write_status(Status(status="stopped", iteration=20, iterations=300, metrics=values, reason="Ctrl-C"))
    write_report(children[0])
    parent.write_json(parent.metrics, {"seeds": [{"seed": 2, "status": "failed", "reason": "no such file"}]})

    page = page_of(parent)

    assert sections(page) == ["spread", "seeds", "recipe", "lock", "environment", "next"]
    assert "3 of 3 seeds: 1 stopped, 1 finished, 1 failed." in page.text
    assert "wasserstein exact W₂ 0.5 0.25 0.75 2 – 0.005 ↓ lower" in page.text
    assert re.findall(r"seed (\d) (stopped|finished|failed)", page.text) == [("0", "stopped"), ("1", "finished"), ("2", "failed")]
    assert "no such file" in page.text
    assert [one["href"] for one in page.all("a") if one["href"].endswith("report.html")] == [
        f"../{children[0].path.name}/report.html"
    ]
    assert len(page.all("img")) == 2


def test_a_sweep_has_the_health_of_its_seeds(made, page_of):
    def health(verdict, *findings):
        known = {"evidence": "20 of 64", "level": verdict, "since": 100, "iteration": 300, "remedy": "train longer", "key": None}
        return {"verdict": verdict, "findings": [{**known, "problem": problem} for problem in findings]}

    parent = made(pictures=False)
    identity = parent.read_json(parent.identity)
    parent.write_json(parent.identity, {**identity, "kind": "sweep", "seeds": [0, 2]})
    for seed, found in enumerate(
        (health("healthy"), health("warn", "near-duplicates"), health("fail", "collapse", "near-duplicates"))
    ):
        made(seed=seed, parent=identity["id"], health=found, pictures=False)

    page = page_of(parent)

    assert "Health Fail in 1 of 3 seeds, warn in 1 of 3 seeds, healthy in 1 of 3 seeds." in page.text
    assert "near-duplicates seeds 1, 2 seed 1: 20 of 64 What usually helps: train longer" in page.text
    assert "collapse seed 2 seed 2: 20 of 64" in page.text
    assert f"list its seeds ganforge runs {parent.path}" in page.text
    assert main(["runs", str(parent.path)]) == 0


def test_a_sweep_without_seeds_has_a_page(made, page_of):
    parent = made(pictures=False)
    parent.write_json(parent.identity, {**parent.read_json(parent.identity), "kind": "sweep"})
    assert "No seed has started." in page_of(parent).text


def test_it_is_written_to_the_given_file_and_replaces_it_atomically(made, tmp_path):
    target = tmp_path / "elsewhere" / "page.html"
    folder = made()
    assert write_report(folder, target) == target
    before = target.read_bytes()
    write_report(folder, target)
    assert [path.name for path in target.parent.iterdir()] == ["page.html"]
    assert len(target.read_bytes()) == len(before)
    assert not RunFolder(folder.path).report.exists()


def test_making_it_imports_neither_torch_nor_mlflow_nor_a_plugin(made, tmp_path):
    script = """
import sys
from pathlib import Path
from ganforge.report.page import write_report
from ganforge.storage.run_folder import RunFolder
write_report(RunFolder(Path(sys.argv[1])))
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
    words = [sys.executable, "-c", script, str(made().path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    assert not {"torch", "mlflow", "matplotlib", "ganforge_vanilla"} & set(done.stdout.split())
