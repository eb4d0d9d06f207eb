"""The facts about the anchors on the real data, and properties on made-up prompts."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spa.errors import SpaError
from spa.records import Problem, Span
from spa.tasks.anchors import ANCHORS, STOP_WORDS, anchor, check, occurrences
from spa.tasks.benchmarks import Benchmark

SINGLE_QUOTED = {69, 70, 71, 72, 74, 77, 92, 99, 119, 125, 126, 132, 134, 136, 148, 151, 157}
SEVERAL_FUNCTIONS = {10, 32, 38, 50}


@pytest.fixture(params=["humaneval", "humaneval_plus"])
def openai(request: pytest.FixtureRequest) -> Benchmark:
    """HumanEval from the package, and from evalplus' file."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["mbpp_plus", "mbpp_plus_v010"])
def mbpp(request: pytest.FixtureRequest) -> Benchmark:
    return request.getfixturevalue(request.param)


def problem(prompt: str, family: str = "humaneval") -> Problem:
    return Problem("Task/1", family, prompt, "f", "", [], None, "", 0.0)


def texts(task: Problem, name: str) -> list[str]:
    task, spans = anchor(task, name)
    return [task.prompt[start:end] for start, end in spans]


def docstring(prompt: str) -> str:
    """By hand: what stands between the quotes after the last `def` at the left margin."""
    tail = prompt[("\n" + prompt).rindex("\ndef ") :]
    quotes = min(('"""', "'''"), key=lambda quotes: tail.find(quotes) if quotes in tail else len(tail))
    return tail.split(quotes)[1]


def assert_sound(prompt: str, spans: tuple[Span, ...]) -> None:
    """In bounds, not empty, stripped, sorted and disjoint."""
    end = 0
    for span in spans:
        assert end <= span[0] < span[1] <= len(prompt)
        assert prompt[slice(*span)] == prompt[slice(*span)].strip()
        end = span[1]


# Facts: HumanEval


def test_humaneval_parts(openai: Benchmark) -> None:
    for task in openai.problems:
        inner = docstring(task.prompt)
        description, mark, examples = inner.partition(">>>")
        assert texts(task, "description") == [description.strip()]
        assert texts(task, "examples") == ([(mark + examples).strip()] if mark else [])
        assert texts(task, "description_and_tests") == [inner.strip()]
        assert texts(task, "prompt") == [task.prompt.strip()]
        assert texts(task, "none") == []


def test_humaneval_counts(openai: Benchmark) -> None:
    with_examples = [task for task in openai.problems if texts(task, "examples")]
    assert (len(with_examples), len(openai.problems) - len(with_examples)) == (76, 88)
    for name in ("description", "description_and_tests", "signature", "keywords", "prompt"):
        assert all(texts(task, name) for task in openai.problems)


def test_humaneval_quotes(openai: Benchmark) -> None:
    single = {}
    for number, task in enumerate(openai.problems):
        _, ((start, end),) = anchor(task, "description_and_tests")
        before, after = task.prompt[:start].rstrip()[-3:], task.prompt[end:].strip()[:3]
        assert before == after
        single[number] = before == "'''"
    assert {number for number, is_single in single.items() if is_single} == SINGLE_QUOTED
    assert [number for number in SINGLE_QUOTED if texts(openai.problems[number], "examples")] == [99]


def test_only_the_last_function_is_anchored(openai: Benchmark) -> None:
    several = {number for number, task in enumerate(openai.problems) if ("\n" + task.prompt).count("\ndef ") > 1}
    assert several == SEVERAL_FUNCTIONS
    for task in openai.problems:
        last = task.prompt.index(f"def {task.entry_point}(")
        for name in ("description", "description_and_tests", "examples", "keywords"):
            assert all(start > last for start, _ in anchor(task, name)[1])
    assert texts(openai.problems[38], "signature") == ["def decode_cyclic(s: str):"]
    assert texts(openai.problems[32], "signature") == ["import math", "def find_zero(xs: list):"]


def test_special_tasks(openai: Benchmark) -> None:
    assert texts(openai.problems[64], "description")[0].startswith("Write a function vowels_count")
    assert texts(openai.problems[64], "description")[0].endswith("Example:")
    assert r'remove_vowels("abcdef\nghijklm")' in texts(openai.problems[51], "examples")[0]
    assert texts(openai.problems[99], "description")[0].endswith("round it away from zero.\n\n    Examples")
    assert texts(openai.problems[99], "examples")[0].endswith("should return -15.")
    assert texts(openai.problems[74], "description")[0].endswith("➞ ['4']")
    assert texts(openai.problems[115], "description")[0].startswith("You are given a rectangular grid")


def test_the_import_of_115(humaneval: Benchmark, humaneval_plus: Benchmark) -> None:
    header = "def max_fill(grid, capacity):"
    assert texts(humaneval.problems[115], "signature") == [header, "import math"]
    assert texts(humaneval_plus.problems[115], "signature") == ["import math", header]


def test_humaneval_signatures(openai: Benchmark) -> None:
    for task in openai.problems:
        by_hand = [line.strip() for line in task.prompt.splitlines() if line.strip().startswith(("import ", "from "))]
        by_hand = [line for line in by_hand if line not in docstring(task.prompt)]
        signature = texts(task, "signature")
        (header,) = [text for text in signature if text.startswith("def ")]
        assert header.startswith(f"def {task.entry_point}(")
        assert header.endswith(":")
        assert [text for text in signature if text != header] == by_hand


def test_double_quotes_only(openai: Benchmark) -> None:
    """The authors' search: right but for the docstrings in ''', of which it takes the wrong stretch."""
    for name in ("description", "description_and_tests"):
        wrong = {}
        for number, task in enumerate(openai.problems):
            (ours,), (theirs,) = anchor(task, name)[1], anchor(task, name, double_quotes_only=True)[1]
            if ours != theirs:
                wrong[number] = task.prompt[slice(*theirs)]
        assert wrong.keys() == SINGLE_QUOTED
        for number, text in wrong.items():
            function = openai.problems[number].prompt.rpartition("\ndef ")[2]
            if name == "description":
                function = "\n".join(itertools.takewhile(lambda line: ">>>" not in line, function.split("\n")))
            assert text == f"ef {function}".strip()


def test_double_quotes_only_on_a_small_example() -> None:
    task = problem("import math\n\ndef f(x):\n    ''' Add one.\n    >>> f(1)\n    2\n    '''\n")
    assert texts(task, "description") == ["Add one."]
    _, spans = anchor(task, "description", double_quotes_only=True)
    assert [task.prompt[start:end] for start, end in spans] == ["ef f(x):\n    ''' Add one."]
    cut = problem("def f(x):\n    ''' Add one. '''")  # the last character is lost
    _, ((start, end),) = anchor(cut, "description", double_quotes_only=True)
    assert cut.prompt[start:end] == "ef f(x):\n    ''' Add one. ''"
    assert anchor(problem("x = 1\n"), "description", double_quotes_only=True)[1] == ()


# Facts: MBPP


def test_mbpp_parts(mbpp: Benchmark) -> None:
    for task in mbpp.problems:
        quotes, sentence, assertion, closing, _ = task.prompt.split("\n")
        assert quotes == closing == '"""'
        assert texts(task, "description") == [sentence.strip()]
        assert texts(task, "examples") == [assertion.strip()]
        assert texts(task, "description_and_tests") == [f"{sentence}\n{assertion}".strip()]
        assert texts(task, "prompt") == [task.prompt.strip()]
        assert texts(task, "keywords")


def test_mbpp_has_no_signature() -> None:
    with pytest.raises(SpaError, match="signature fits no MBPP task"):
        check("signature", "mbpp")
    with pytest.raises(SpaError, match="signature fits no MBPP task"):
        anchor(problem('"""\nAdd.\nassert f(1) == 1\n"""\n', "mbpp"), "signature")


def test_mbpp_without_quotes_or_assert() -> None:
    task = problem("Add two numbers.\n  They are positive.\n assert f(1) == 1\nassert f(2) == 2\n", "mbpp")
    assert texts(task, "description") == ["Add two numbers.\n  They are positive."]
    assert texts(task, "examples") == ["assert f(1) == 1\nassert f(2) == 2"]
    assert texts(problem('"""assertive text"""', "mbpp"), "examples") == []


# Rules


def test_every_span_is_sound(openai: Benchmark, mbpp_plus: Benchmark) -> None:
    for task in (*openai.problems, *mbpp_plus.problems):
        for name in ANCHORS:
            if (name, task.family) != ("signature", "mbpp"):
                same, spans = anchor(task, name)
                assert same == task
                assert_sound(task.prompt, spans)


def test_keywords(openai: Benchmark) -> None:
    words = "remove_vowels takes string returns string without vowels"
    assert texts(openai.problems[51], "keywords") == words.split()
    for task in openai.problems:
        ((start, end),) = anchor(task, "description")[1]
        assert all(start <= left and right <= end for left, right in anchor(task, "keywords")[1])
        assert not STOP_WORDS & {word.lower() for word in texts(task, "keywords")}


def test_keywords_are_words_of_three_letters_that_say_something() -> None:
    task = problem('def f():\n    """The x1y2 isn\'t __ab__, not 123 of `naïve_fib4`: Don\'t!\n\n    >>> word"""\n')
    assert texts(task, "keywords") == ["not", "naïve_fib4"]


@pytest.mark.parametrize("name", ["description", "description_and_tests", "examples", "keywords"])
@pytest.mark.parametrize(
    "prompt", ["x = 1\n", "def f(x):\n    return x\n", 'def f(x):\n    """ """\n', '"""Text."""\n']
)
def test_a_task_may_lack_the_anchor(prompt: str, name: str) -> None:
    assert texts(problem(prompt), name) == []


@pytest.mark.parametrize("opening", ['r"""', "'", '"', "'''"])
def test_other_functions(opening: str) -> None:
    closing = opening.lstrip("r")
    prompt = f"from a import (\n    b,\n)\n@b\nasync def f(\n    x,  # é\n):  # ü\n    {opening}Dö it.{closing}\n"
    assert texts(problem(prompt), "description") == ["Dö it."]
    assert texts(problem(prompt), "signature") == [
        "from a import (\n    b,\n)",
        "async def f(\n    x,  # é\n):  # ü",
    ]


@pytest.mark.parametrize("prompt", ["def f(x):\n", "Add two numbers.", "def f():\n    pass\0"])
def test_a_prompt_that_is_not_python(prompt: str) -> None:
    with pytest.raises(SpaError, match="Task/1: its prompt is not Python"):
        anchor(problem(prompt), "description")
    assert texts(problem(prompt), "prompt") == [prompt.strip()]


def test_unknown_anchor() -> None:
    with pytest.raises(SpaError, match="anchor=summary is unknown; take one of: description, "):
        check("summary", "humaneval")
    for name in ANCHORS:
        check(name, "humaneval")


# Tags


def test_tags() -> None:
    task = problem("def f(x):\n    '''<anchor> Add one. </anchor>Then <anchor></anchor><anchor>two</anchor>'''\n")
    untagged, spans = anchor(task, "tagged")
    assert untagged.prompt == "def f(x):\n    ''' Add one. Then two'''\n"
    assert [untagged.prompt[start:end] for start, end in spans] == ["Add one.", "two"]
    assert untagged.task_id == task.task_id
    assert anchor(task, "none") == (task, ())


@pytest.mark.parametrize(
    ("prompt", "part"),
    [
        ("a <anchor>b", "the last <anchor> of the prompt is not closed"),
        ("a </anchor> b", "</anchor> at character 2 of the prompt is not opened"),
        ("<anchor>a<anchor>b</anchor></anchor>", "<anchor> at character 9 of the prompt is inside another"),
    ],
)
def test_unbalanced_tags(prompt: str, part: str) -> None:
    with pytest.raises(SpaError) as caught:
        anchor(problem(prompt), "tagged")
    assert part in str(caught.value)
    assert "Task/1" in str(caught.value)


# Properties

PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0<>"))
QUOTABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\\\"'>"))


@given(st.lists(st.tuples(PLAIN, st.booleans())), st.sampled_from(["humaneval", "mbpp"]))
def test_tagging_round_trip(pieces: list[tuple[str, bool]], family: str) -> None:
    tagged = "".join(f"<anchor>{text}</anchor>" if anchored else text for text, anchored in pieces)
    untagged, spans = anchor(problem(tagged, family), "tagged")
    assert untagged.prompt == "".join(text for text, _ in pieces)
    assert_sound(untagged.prompt, spans)
    expected = [text.strip() for text, anchored in pieces if anchored and text.strip()]
    assert [untagged.prompt[start:end] for start, end in spans] == expected


@given(QUOTABLE, QUOTABLE, QUOTABLE, st.sampled_from(['"""', "'''"]), st.booleans())
def test_any_docstring(before: str, description: str, examples: str, quotes: str, has_examples: bool) -> None:
    tests = f"\n    >>> {examples}" if has_examples else ""
    helper = f"def g():\n    '''{before}'''\n\n\n"
    task = problem(f"{helper}def f(x):\n    {quotes}{description}{tests}{quotes}\n")
    assert texts(task, "description") == ([description.strip()] if description.strip() else [])
    assert texts(task, "examples") == ([tests.strip()] if has_examples else [])
    assert texts(task, "signature") == ["def f(x):"]
    for name in ANCHORS:
        assert_sound(task.prompt, anchor(task, name)[1])


@given(PLAIN, st.sampled_from(["prompt", "none", "description", "examples", "description_and_tests", "keywords"]))
def test_any_mbpp_prompt(prompt: str, name: str) -> None:
    assert_sound(prompt, anchor(problem(prompt, "mbpp"), name)[1])


@pytest.mark.parametrize(
    ("anchored", "spans"),
    [
        (["ab"], [(0, 2), (2, 4)]),  # neighbours stay two
        (["aba"], [(0, 3)]),
        (["bab", "aba"], [(0, 4)]),  # overlaps become one
        (["abab", "ba"], [(0, 4)]),  # also where one lies inside another
    ],
)
def test_occurrences_of_strings(anchored: list[str], spans: list[Span]) -> None:
    assert list(occurrences("abab.", anchored, "a prompt")) == spans
