import base64
import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import pandas as pd

from spa.analysis.claims import Verdict
from spa.analysis.headline import Headline
from spa.report.explorer import Explorer, Series, packed
from spa.report.page import EXPLORER, FOLDER, SCRIPT, STYLES, Figure, render
from spa.report.run_facts import RunFacts
from spa.report.tables import Table

VERDICTS = [
    Verdict(
        id="C1",
        claim="SPA improves Pass@1 on every model and benchmark",
        rule="reproduced where every cell's interval lies above 0",
        others="another model can show that it does not help every model",
        verdict="not enough data",
        evidence="contradicts",
        numbers=("Tiny 1M, HumanEval: -1.8 points (-4.3 to 0.6)", "a < b & c"),
        keys=("aaaa", "bbbb"),
    ),
    Verdict(
        "C2",
        "The improvement reaches 9.7 points",
        "its interval covers 9.7",
        "nothing",
        "reproduced",
        "supports",
        (),
        (),
    ),
]


TUNED = pd.DataFrame(
    {
        "model": "Tiny 1M",
        "weights": "float32",
        "benchmark": ["humaneval", "mbpp_plus"],
        "plain_pass_at_1": [0.5, 0.25],
        "spa_pass_at_1": [0.55, 0.2],
        "delta": [0.05, -0.05],
        "delta_low": [0.01, -0.1],
        "delta_high": [0.09, 0.0],
        "omega_p50": [0.3, 0.125],
    }
)
SHOWN = pd.DataFrame({"Tasks": ["3"], "Run": ["aaaa"]})


PARTS: dict[str, Any] = {
    "title": "a & b",
    "headline": Headline("Not measurably.", "Run: some.", "Tiny 1M"),
    "tuned": TUNED,
    "curves": Figure(b"curves", "omega", "Curves.", (6.9, 3.0)),
    "verdicts": [],
    "tables": [Table("main", "Main", SHOWN, SHOWN, 0, ("Note.",))],
    "figures": [Figure(b"png", "curve", "A caption.", (3.3, 2.0))],
    "remarks": ["A remark."],
    "explorer": Explorer([], packed([])),
    "missing": [],
    "absent": [],
    "runs": [RunFacts("aaaa", "A run", {"Run": "aaaa", "Warnings": "none"})],
}


def page(**changes: Any) -> str:
    return re.sub(r"\s+", " ", render(**PARTS | changes))


def test_the_answer_stands_first_beside_curves_and_table() -> None:
    html = page(verdicts=VERDICTS)
    places = [html.index(f'id="{name}"') for name in ("headline", "claims", "figures", "explorer", "tables", "runs")]
    assert places == sorted(places)
    assert html.index("Not measurably.") < html.index("<nav") < places[0]
    assert '<img src="data:image/png;base64,Y3VydmVz" width="773" height="336"' in html
    assert '<th scope="rowgroup" colspan="6">Tiny 1M (float32)</th>' in html
    assert (
        '<tr><td>HumanEval</td><td class="right">50.0</td><td class="right">55.0</td><td class="right gain">+5.0</td>'
        '<td class="right">+1.0 to +9.0</td><td class="right">0.3</td></tr>'
    ) in html
    assert '<td class="right ">-5.0</td><td class="right">-10.0 to 0.0</td>' in html
    nothing = page(headline=Headline("Nothing.", "", ""), tuned=pd.DataFrame(), curves=None)
    assert 'id="headline"' not in nothing


def test_a_claim_has_one_badge_and_those_that_lack_models_are_folded() -> None:
    silent = replace(VERDICTS[0], id="C3", evidence="inconclusive")
    html = page(verdicts=[*VERDICTS, silent])
    assert re.findall(r'<span class="badge ([^"]*)">([^<]+)</span>', html)[:3] == [
        ("contradicts", "other models: contradicts"),
        ("reproduced", "reproduced"),
        ("", "not enough data"),
    ]
    folded = html.index('<details class="group"> <summary>1 of 3 claims')
    assert html.index("<b>C1</b>") < html.index("<b>C2</b>") < folded < html.index("<b>C3</b>")
    assert "models other than the paper's can say: another model can show that it does not help every model." in html
    assert "<li>a &lt; b &amp; c</li>" in html
    assert 'Runs: <a href="#run-aaaa">aaaa</a>, bbbb.' in html  # bbbb is no run, but a measurement of attention
    assert "Runs: none." in html
    assert 'id="claims"' not in page()


def test_tables_figures_and_runs() -> None:
    html = page()
    assert '<td class="left"><a href="#run-aaaa">aaaa</a></td>' in html
    help_ = "Tasks that are counted."
    assert (
        f'<th scope="col" class="right"><span class="term" tabindex="0" data-help="{help_}">Tasks</span></th>' in html
    )
    assert '<a href="#table-main">Main</a>' in html
    assert '<details class="table" id="table-main"> <summary><h3>Main</h3></summary>' in html
    assert '<p class="note">Note.</p>' in html
    image = '<img src="data:image/png;base64,cG5n" width="370" height="224"'
    assert f'{image} alt="A caption. The numbers are in figures/curve.csv">' in html
    assert "<p>A remark.</p>" in html
    assert '<dl class="card" id="run-aaaa"> <dt>Run</dt><dd>aaaa</dd> <dt>Warnings</dt><dd>none</dd> </dl>' in html
    assert "<title>SPA results: a &amp; b</title>" in html


def test_nothing_but_the_page_s_own_script_and_style_may_run() -> None:
    series = Series("</script>", ["humaneval"], "description", "per_token", "spa", "s", ["aaaa"], True, packed({}))
    html = render(**PARTS | {"explorer": Explorer([series], packed([]))})
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    (script,) = re.findall(r'<script type="module">(.*?)</script>', html, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    for kind, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} &#39;sha256-{digest}&#39;" in policy or f"{kind} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert html.count("</script>") == 1 + 3  # the module; index, prompts and one series
    assert r"\u003c/script\u003e" in html
    for name in (*STYLES, *EXPLORER, *SCRIPT):
        assert not re.search(r"</|https?:|@import|url\(", (FOLDER / name).read_text())
    assert not re.search(r"</script|import\(|fetch\(|XMLHttp", (FOLDER / "libraries.js").read_text())


def test_the_explorer_opens_at_a_curve_of_the_main_model() -> None:
    alike = ["aaaa"], True, packed({})
    series = [
        Series("Other", ["humaneval"], "description", "per_token", "spa", "s", *alike),
        Series("Tiny 1M", ["humaneval"], "prompt", "per_token", "spa", "s", *alike),
        Series("Tiny 1M", ["humaneval", "humaneval_plus"], "description", "per_token", "spa", "s", *alike),
    ]
    html = page(explorer=Explorer(series, packed([])))
    (index,) = re.findall(r'id="index">(.*?)</script>', html)
    found = json.loads(index)
    assert found["start"] == 2
    assert [entry["benchmark"] for entry in found["entries"]] == ["HumanEval", "HumanEval", "HumanEval", "HumanEval+"]


def test_libraries_are_small_and_named_with_their_licences() -> None:
    text = (FOLDER / "libraries.js").read_text()
    assert len(text) < 150 * 1024
    for fact in (
        "highlight.js 11.12.0",
        "jsdiff 9.0.0",
        "Copyright (c) 2006, Ivan Sagalaev",
        "Copyright (c) 2009-2015",
    ):
        assert fact in text
    assert text.count("BSD 3-Clause License") == 2
