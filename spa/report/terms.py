"""What the headings of tables mean: the page shows it beside the heading under the pointer or the focus."""

_INTERVAL = "95% interval, by a paired bootstrap over tasks"
_LESS = "the difference of the two deltas, on the same splits of the tasks"
TERMS = {
    "Model": "The model that wrote the programs.",
    "Weights": "Number format of the weights, and their quantization where they have one.",
    "Benchmark": "The tasks and the tests that decide. HumanEval+ and MBPP+ have more tests for the same tasks.",
    "Anchor (mask)": "The text of the prompt that SPA amplifies, and how the second prompt hides it.",
    "Method": "What scores a token: SPA, or a method that it is compared with.",
    "Template": "The wording of the prompt.",
    "Extraction": "How the program is taken from the model's answer.",
    "Tasks": "Tasks that are counted.",
    "Tasks (anchored)": "Tasks that are counted, and those of them whose prompt has the anchor.",
    "Plain (%)": "Pass@1 of plain greedy decoding, omega 0.",
    "Plain": "Pass@1 (%) of plain greedy decoding, omega 0.",
    "SPA (%)": "Pass@1 with SPA, as the notes below the table say.",
    "SPA": "Pass@1 (%) with SPA, omega chosen on some tasks and measured on the others.",
    "Omega": "SPA's weight: 0 is plain greedy decoding. a..b: from a up to b.",
    "Omegas": "The omegas that were run.",
    "Pass@1 (%)": "Share of the tasks whose program passes all tests.",
    "95% CI": "95% interval.",
    "Delta": "SPA's Pass@1 less that of plain greedy decoding on the same tasks, in points.",
    "from": f"Lower end of the {_INTERVAL}.",
    "to": "Upper end of the interval whose lower end stands one column to the left.",
    "Fixed": "Tasks that fail with plain greedy decoding and pass with SPA.",
    "Broken": "Tasks that pass with plain greedy decoding and fail with SPA.",
    "p": "Exact two-sided McNemar test of fixed against broken tasks.",
    "Holm": "The p-value, adjusted by Holm's method over all rows of the table's CSV file.",
    "Run": "The run's key; it leads to the facts of the run.",
    "Share": "Share of the tasks on which omega is chosen.",
    "Tuned on": "The model on whose tasks omega is chosen.",
    "of": "The benchmark on whose tasks omega is chosen.",
    "Trigger": "SPA is used where the plain program fails these tests.",
    "Triggered": "Tasks on which SPA is used.",
    "Peak (%)": "The highest Pass@1 of all omegas, chosen in hindsight.",
    "at": "The omega of the peak.",
    "May be best from": "The first omega that a comparison with the best does not exclude.",
    "Tried up to": "The largest omega that was run.",
    "Steps": "Steps of the curve that are left after pooling neighbours that cannot be told apart.",
    "Falls after rises": "How often these steps change from rising to falling.",
    "Less description": f"Against the anchor description: {_LESS}.",
    "Less SPA": f"Against SPA: {_LESS}.",
    "less from": f"Lower end of that difference's {_INTERVAL}.",
    "less to": f"Upper end of that difference's {_INTERVAL}.",
    "Tuned": "SPA's Pass@1 less that of plain greedy decoding, omega chosen on other tasks, in points.",
    "Tuned (%)": "Pass@1 at the omega chosen on other tasks.",
    "Authors' weight": "The same weight as the method's authors write it.",
    "Quantity": "What was published: Pass@1 of plain decoding, of SPA, or their difference.",
    "Published setting": "The anchor and the weight that were published with it.",
    "Published (%)": "The published number.",
    "Ours (%)": "The same quantity in these results.",
    "Difference": "Ours less the published number, in points.",
    "Less evalplus": "Our plain Pass@1 less ours under EvalPlus' prompt, of the same tasks, in points.",
    "Our template": "The wording of our prompt.",
    "Our extraction": "How our program is taken from the model's answer.",
    "Our weights": "Number format and quantization of our weights.",
    "Plain (tokens/s)": "Tokens that plain decoding writes in a second, all texts of a batch together.",
    "SPA (tokens/s)": "Tokens that SPA writes in a second, all texts of a batch together.",
    "Source": "Where the number was published.",
    "Conditions": "Model, number format and machine.",
    "Ratio": "Time of SPA over that of plain decoding: the median of the rounds.",
    "lowest": "The lowest ratio of the rounds.",
    "highest": "The highest ratio of the rounds.",
}
_FAMILIES = {
    "Split": "percentile of delta over the random splits of the tasks",
    "Omega": "percentile of the omega that the splits choose",
}


def explanation(heading: str) -> str:
    """A sentence about a heading, also of one that begins with a benchmark's name; empty where it speaks for itself."""
    family, _, last = heading.rpartition(" ")
    if family in _FAMILIES and last.isdigit():
        return f"{last}th {_FAMILIES[family]}."
    if family == "At":
        return "The same at this omega, on every task."
    return TERMS.get(heading) or (TERMS[last] if last in ("Plain", "SPA", "Delta", "from", "to") else "")
