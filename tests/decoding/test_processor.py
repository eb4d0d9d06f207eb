"""The logits processor within transformers' `generate`, beside `spa.generate` and transformers' own guidance."""

import threading
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor
from transformers import GenerationConfig, TextIteratorStreamer

import spa
from spa.bench import tiny_models
from spa.decoding.interface.processor import SPALogitsProcessor
from spa.errors import SpaError
from spa.method import SPA, Method

TOKENIZER = tiny.tokenizer(chat=True)
NEW_TOKENS = 12
EOS = tuple(range(11, 260, 24))  # many, so that texts end at different steps
PROMPTS = ["def f(x):\n    add one\n", "sort the list of names", "print the sum"]
ANCHORS = [["add one"], ["list"], ["sum"]]
METHODS = {
    "spa": SPA,
    "probability": Method("probability"),
    "decay": Method(schedule="decay", schedule_tokens=5),
    "plausibility": Method(plausibility=0.3),
    "entropy": Method(schedule="entropy"),
}
OMEGAS = (-1.0, 0.0, 0.7, 3.0)


@pytest.fixture(scope="module", params=tiny.ARCHITECTURES)
def model(request: pytest.FixtureRequest) -> Any:
    return tiny.model(request.param, vocabulary=len(TOKENIZER))


@pytest.fixture(scope="module")
def llama() -> Any:
    return tiny.model("llama", vocabulary=len(TOKENIZER))


def ids(prompt: str) -> list[int]:
    found: list[int] = TOKENIZER(prompt)["input_ids"]
    return found


def masked(prompt: str, anchor: str) -> list[int]:
    start = prompt.index(anchor)
    end = start + len(anchor)
    return [TOKENIZER.unk_token_id if start <= at < end else token for at, token in enumerate(ids(prompt))]


MASKED = [masked(prompt, anchor) for prompt, (anchor,) in zip(PROMPTS, ANCHORS, strict=True)]


def padded(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Rows behind padding, and their attention mask."""
    width = max(map(len, rows))
    tokens = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    return tokens, torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])


def generate(model: Any, prompts: list[str], processor: Any = None, seed: int = 0, **settings: Any) -> list[list[int]]:
    """The new tokens of each row, without EOS and what follows."""
    tokens, attention_mask = padded([ids(prompt) for prompt in prompts])
    given = {"do_sample": False, "max_new_tokens": NEW_TOKENS, "eos_token_id": list(EOS), "pad_token_id": 0} | settings
    more = {"negative_prompt_ids": given.pop("negative")} if "negative" in given else {}
    torch.manual_seed(seed)
    output = model.generate(
        tokens,
        attention_mask=attention_mask,
        generation_config=GenerationConfig(**given),
        logits_processor=[processor] if processor else [],
        **more,
    )
    rows = output[:, tokens.shape[1] :].tolist()
    ends = [next((at for at, token in enumerate(row) if token in EOS), len(row)) for row in rows]
    return [row[:end] for row, end in zip(rows, ends, strict=True)]


@pytest.mark.parametrize("name", METHODS)
def test_greedy_texts_are_those_of_spa_generate(model: Any, name: str) -> None:
    found = []
    for omega in OMEGAS:
        texts = spa.generate(
            model,
            TOKENIZER,
            PROMPTS,
            omega,
            anchors=ANCHORS,
            method=METHODS[name],
            max_new_tokens=NEW_TOKENS,
            eos_token_ids=EOS,
        )
        expected = [text.token_ids for (text,) in texts]
        found.append(expected)
        for prompt, second, alone in zip(PROMPTS, MASKED, expected, strict=True):
            assert generate(model, [prompt], SPALogitsProcessor(model, [second], omega, METHODS[name])) == [alone]
        assert generate(model, PROMPTS, SPALogitsProcessor(model, MASKED, omega, METHODS[name])) == expected
    assert found[0] != found[1] != found[3]
    assert len({len(row) for rows in found for row in rows}) > 2, "texts should end at different steps"


@pytest.mark.parametrize("name", ["bloom", "gemma3_text", "gpt2", "phi3"])
def test_models_with_positions_of_their_own(name: str) -> None:
    """No positions, windows, learned positions, and factors that change once a text exceeds 40 tokens."""
    model, tokenizer = tiny_models.build(name, seed=0, scale=8.0), tiny_models.TOKENIZER
    prompts, anchors = ["def f(x): # add one to all of it", "sort the list of names"], [["add one"], ["list"]]
    seconds = [masked(prompt, anchor) for prompt, (anchor,) in zip(prompts, anchors, strict=True)]
    settings = {"anchors": anchors, "max_new_tokens": 24, "eos_token_ids": EOS}
    expected = [text.token_ids for (text,) in spa.generate(model, tokenizer, prompts, 0.7, **settings)]
    for prompt, second, alone in zip(prompts, seconds, expected, strict=True):
        processor = SPALogitsProcessor(model, [second], 0.7)
        assert generate(model, [prompt], processor, max_new_tokens=24) == [alone]
    if name != "phi3":  # which reads rows of a batch that differ in length by one row's factors
        assert generate(model, prompts, SPALogitsProcessor(model, seconds, 0.7), max_new_tokens=24) == expected


@pytest.mark.parametrize("name", METHODS)
def test_sampling_at_omega_0_is_plain(model: Any, name: str) -> None:
    plain = generate(model, PROMPTS, do_sample=True, temperature=0.8, top_k=0, seed=3)
    processor = SPALogitsProcessor(model, MASKED, 0, METHODS[name])
    anchored = generate(model, PROMPTS, processor, do_sample=True, temperature=0.8, top_k=0, seed=3)
    assert (anchored == plain) == (name != "plausibility")


@pytest.mark.parametrize("omega", [-0.5, 0.5])
def test_sampling_is_that_of_transformers_guidance(model: Any, omega: float) -> None:
    sampling = {"do_sample": True, "temperature": 1.5, "top_p": 0.9, "seed": 5}
    for prompt, second in zip(PROMPTS, MASKED, strict=True):
        guided = generate(model, [prompt], guidance_scale=1 + omega, negative=torch.tensor([second]), **sampling)
        assert generate(model, [prompt], SPALogitsProcessor(model, [second], omega), **sampling) == guided


def test_repeated_rows(llama: Any) -> None:
    sampling = {"do_sample": True, "temperature": 2.0, "top_k": 0, "seed": 1}
    rows = generate(llama, PROMPTS[:2], SPALogitsProcessor(llama, MASKED[:2], 0.5), num_return_sequences=3, **sampling)
    by_hand = [prompt for prompt in PROMPTS[:2] for _ in range(3)]
    seconds = [second for second in MASKED[:2] for _ in range(3)]
    assert rows == generate(llama, by_hand, SPALogitsProcessor(llama, seconds, 0.5), **sampling)
    assert len({tuple(row) for row in rows}) > 3


def test_a_streamer(llama: Any) -> None:
    (expected,) = generate(llama, PROMPTS[:1], SPALogitsProcessor(llama, MASKED[:1], 0.5), eos_token_id=None)
    streamer = TextIteratorStreamer(TOKENIZER, skip_prompt=True)
    tokens, attention_mask = padded([ids(PROMPTS[0])])
    settings = GenerationConfig(max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=None, pad_token_id=0)
    thread = threading.Thread(
        target=llama.generate,
        args=(tokens,),
        kwargs={
            "attention_mask": attention_mask,
            "generation_config": settings,
            "streamer": streamer,
            "logits_processor": [SPALogitsProcessor(llama, MASKED[:1], 0.5)],
        },
    )
    thread.start()
    text = "".join(streamer)
    thread.join()
    assert text.startswith(TOKENIZER.decode(expected))


def test_masked_prompts_as_tensors(llama: Any) -> None:
    tokens, attention_mask = padded(MASKED)
    lists = generate(llama, PROMPTS, SPALogitsProcessor(llama, MASKED, 2.0))
    assert generate(llama, PROMPTS, SPALogitsProcessor(llama, tokens, 2.0, attention_mask=attention_mask)) == lists
    assert generate(llama, PROMPTS, SPALogitsProcessor(llama, [torch.tensor(row) for row in MASKED], 2)) == lists
    assert generate(llama, PROMPTS, SPALogitsProcessor(llama, MASKED, [2.0], "spa")) == lists


def test_one_processor_serves_one_generate_after_the_other(llama: Any) -> None:
    processor = SPALogitsProcessor(llama, MASKED[:1], 2.0)
    first = generate(llama, PROMPTS[:1], processor)
    assert generate(llama, PROMPTS[:1], processor) == first
    shorter = generate(llama, ["add"], processor)
    assert shorter == generate(llama, ["add"], SPALogitsProcessor(llama, MASKED[:1], 2.0))
    assert generate(llama, PROMPTS[:1], processor) == first


def test_scores_by_hand(llama: Any) -> None:
    prompt = torch.tensor([ids(PROMPTS[0])])
    processor = SPALogitsProcessor(llama, MASKED[:1], 0.5, "spa_decay")
    with torch.inference_mode():
        for step, text in enumerate(([], [7], [7, 9])):
            rows = torch.cat([prompt, torch.tensor([text], dtype=torch.long)], dim=1)
            a, m = llama(rows).logits[:, -1], llama(torch.tensor([MASKED[0] + text])).logits[:, -1]
            scores = processor(rows, a)
            assert scores.dtype == torch.float32
            torch.testing.assert_close(scores, a + 0.5 * (1 - step / 128) * (a - m), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("omega", [-1.5, -1.0, 0.0, 0.5])
def test_what_another_processor_excludes_stays_excluded(llama: Any, name: str, omega: float) -> None:
    processor = SPALogitsProcessor(llama, MASKED[:1], omega, METHODS[name])
    scores = torch.randn(1, len(TOKENIZER), generator=torch.Generator().manual_seed(0))
    scores[0, 5] = -torch.inf
    anchored = processor(torch.tensor([ids(PROMPTS[0])]), scores)
    assert anchored[0, 5] == -torch.inf
    assert not anchored.isnan().any()
    assert anchored.isfinite().any()


def test_beams_are_refused(llama: Any) -> None:
    with pytest.raises(SpaError, match="the scores are log-probabilities, as beams have them; use num_beams=1"):
        generate(llama, PROMPTS[:1], SPALogitsProcessor(llama, MASKED[:1], 0.5), num_beams=3)


@pytest.mark.parametrize("change", ["swapped", "jumped", "went back"])
def test_tokens_that_were_read_may_not_change(llama: Any, change: str) -> None:
    rows = torch.tensor([ids("abc")] * 2)
    processor = SPALogitsProcessor(llama, [ids("axc")] * 2, 0.5)
    scores = torch.randn(2, len(TOKENIZER), generator=torch.Generator().manual_seed(0))
    texts = [[], [[1], [2]], [[1, 3], [2, 3]]]
    for text in texts:
        processor(torch.cat([rows, torch.tensor(text, dtype=torch.long).view(2, -1)], dim=1), scores)
    then = {"swapped": [[2, 3, 4], [1, 3, 4]], "jumped": [[1, 3, 4, 5], [2, 3, 4, 5]], "went back": [[1], [2]]}
    with pytest.raises(SpaError, match="rows no longer begin with the tokens read so far") as error:
        processor(torch.cat([rows, torch.tensor(then[change])], dim=1), scores)
    assert "\n" not in str(error.value)


def test_assisted_decoding_is_right_or_refused(llama: Any) -> None:
    prompt = "sort sort sort sort"
    second = masked(prompt, "sort")
    expected = generate(llama, [prompt], SPALogitsProcessor(llama, [second], 0.5))
    with pytest.raises(SpaError, match="rows no longer begin with the tokens read so far"):
        assert generate(llama, [prompt], SPALogitsProcessor(llama, [second], 0.5), prompt_lookup_num_tokens=3) == []
    assert expected


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"model": "gpt2"}, "model is a str; give a transformers model"),
        ({"masked_ids": None}, "masked_ids is no rows of token ids"),
        ({"masked_ids": []}, "masked_ids is no rows of token ids"),
        ({"masked_ids": [1, 2]}, "give one list of token ids for each prompt"),
        ({"masked_ids": [[1], []]}, "or has an empty one"),
        ({"masked_ids": ["text"]}, "masked_ids is no rows of token ids"),
        ({"masked_ids": [[0.5]]}, "masked_ids is no rows of token ids"),
        ({"attention_mask": [[1]]}, "masked_ids and attention_mask differ in shape"),
        ({"attention_mask": [[1, 1, 0]]}, 'more than padding on the left; set tokenizer.padding_side="left"'),
        ({"attention_mask": [[1, 0, 1]]}, "attention_mask hides more than padding on the left"),
        ({"omega": "0..1"}, r"omega=0\.\.1 is more than one value; give a single number"),
        ({"omega": None}, "omega=None is not a number"),
        ({"method": "nope"}, "method=nope is unknown; choose one of: cad, cfg, spa"),
        ({"method": 3}, "method is a int; give a spa.Method"),
    ],
)
def test_what_does_not_fit_is_one_line(llama: Any, arguments: dict[str, Any], complaint: str) -> None:
    given = {"model": llama, "masked_ids": [[1, 2, 3]], "omega": 0.5} | arguments
    with pytest.raises(SpaError, match=complaint) as error:
        SPALogitsProcessor(**given)
    assert "\n" not in str(error.value)


def test_rows_that_do_not_fit_the_batch(llama: Any) -> None:
    with pytest.raises(SpaError, match="masked_ids has 2 rows and the batch 3; give one list of token ids for each"):
        generate(llama, PROMPTS, SPALogitsProcessor(llama, MASKED[:2], 0.5))
