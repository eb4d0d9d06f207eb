import base64
import hashlib
import re
from typing import Any

import pandas as pd

from spa.analysis.claims import Verdict
from spa.report.explorer import Explorer, Series, packed
from spa.report.page import FOLDER, SCRIPTS, STYLES, Figure, render
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


SHOWN = pd.DataFrame({"Tasks": ["3"], "Run": ["aaaa"]})


def page(**changes: Any) -> str:
    parts: dict[str, Any] = {
        "title": "a & b",
        "verdicts": [],
        "tables": [Table("main", "Main", SHOWN, SHOWN, 0, ("Note.",))],
        "figures": [Figure(b"png", "curve", "A caption.")],
        "explorer": Explorer([], packed([])),
        "missing": [],
        "absent": [],
        "runs": [RunFacts("aaaa", "A run", {"Run": "aaaa", "Warnings": "none"})],
        **changes,
    }
    return re.sub(r"\s+", " ", render(**parts))


def test_claims_stand_first_with_links_to_their_runs() -> None:
    html = page(verdicts=VERDICTS)
    assert html.index('id="claims"') < html.index('id="tables"') < html.index('id="figures"') < html.index('id="runs"')
    assert '<span class="badge not-enough-data">not enough data</span>' in html
    assert '<span class="badge contradicts">models run: contradicts</span>' in html
    assert "models other than the paper's can say: another model can show that it does not help every model." in html
    assert "<li>a &lt; b &amp; c</li>" in html
    assert 'Runs: <a href="#run-aaaa">aaaa</a>, <a href="#run-bbbb">bbbb</a>.' in html
    assert "Runs: none." in html
    assert 'id="claims"' not in page()


def test_tables_figures_and_runs() -> None:
    html = page()
    assert '<td class="left"><a href="#run-aaaa">aaaa</a></td>' in html
    assert '<th scope="col" class="right">Tasks</th>' in html
    assert '<p class="note">Note.</p>' in html
    assert '<img src="data:image/png;base64,cG5n" alt="A caption. The numbers are in figures/curve.csv">' in html
    assert '<dl class="card" id="run-aaaa"> <dt>Run</dt><dd>aaaa</dd> <dt>Warnings</dt><dd>none</dd> </dl>' in html
    assert "<title>SPA results: a &amp; b</title>" in html


def test_nothing_but_the_page_s_own_script_and_style_may_run() -> None:
    series = Series("</script>", ["humaneval"], "description", "s", ["aaaa"], True, packed({}))
    html = render(
        title="t",
        verdicts=[],
        tables=[],
        figures=[],
        explorer=Explorer([series], packed([])),
        missing=[],
        absent=[],
        runs=[],
    )
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    (script,) = re.findall(r'<script type="module">(.*?)</script>', html, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    for kind, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} &#39;sha256-{digest}&#39;" in policy or f"{kind} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert html.count("</script>") == 1 + 3  # the module; index, prompts and one series
    assert r"\u003c/script\u003e" in html
    for name in (*STYLES, *SCRIPTS):
        assert not re.search(r"</|https?:|@import|url\(", (FOLDER / name).read_text())
