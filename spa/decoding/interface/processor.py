"""The method as a logits processor, for all that transformers' `generate` offers beside greedy decoding.

Letters: B rows of the batch, M tokens of the longest second prompt, S tokens of a row, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import LogitsProcessor

from spa.config import load_method
from spa.decoding import methods
from spa.decoding.forward import takes_positions
from spa.decoding.interface.arguments import check_model
from spa.decoding.sharing import Sharing
from spa.errors import SpaError
from spa.method import SPA, Method
from spa.omega import parse_one

LOG_PROBABILITIES = 1e-4  # how far from 0 the log of their sum may lie
PER_ROW = "give one list of token ids for each prompt, or a tensor [B, M] with its attention_mask"


class SPALogitsProcessor(LogitsProcessor):
    """Anchors within `model.generate(..., logits_processor=[SPALogitsProcessor(model, masked_ids, omega)])`.

    model: the one that generates. masked_ids: the prompts' second form, without the anchored text; a list or tensor of
    ids for each prompt, or [B, M] with the attention_mask of its padding on the left. Where `generate` repeats rows
    (num_return_sequences), so does this. omega: a single number. method: a `Method`, or the name of one in conf/method.

    The scores are those of `spa.decoding.methods`. transformers puts processors of the caller's behind its own
    (repetition_penalty, min_length), which therefore change the original logits alone, and ahead of temperature, top_k,
    top_p and their like, which see the anchored scores.

    It serves one `generate` at a time and starts anew with the next. Raises SpaError for rows that do not fit, and
    where tokens that it has read are replaced: beam search and assisted decoding do that.
    """

    def __init__(
        self, model: Any, masked_ids: Any, omega: Any, method: Method | str = SPA, attention_mask: Any = None
    ) -> None:
        check_model(model)
        self.model = model
        self.prompts = _prompts(masked_ids, attention_mask)
        self.omega = parse_one(omega)
        self.method = load_method(method)
        self.sharing = Sharing.of(model.config)
        self.n_prompt = 0  # tokens of a row that `generate` began with
        self.seen: Tensor | None = None  # [B, S] as of the latest call
        self.cache: Any = None

    def __call__(self, input_ids: Any, scores: Any) -> Tensor:
        """The anchored scores, [B, V]. input_ids: [B, S], prompts and text so far; scores: [B, V]."""
        self._follow(input_ids, scores)
        steps = torch.full((len(scores),), input_ids.shape[1] - self.n_prompt, device=scores.device)
        second = self._second(input_ids[:, self.n_prompt :]).to(scores.device) if self.omega else scores
        omega = torch.full((len(scores), 1), self.omega, dtype=torch.float64, device=scores.device)
        anchored = methods.scores(self.method, scores, second, steps)(omega).to(scores.dtype)
        return anchored.masked_fill(scores.isneginf(), -torch.inf)  # what another processor excludes stays so

    def _follow(self, input_ids: Tensor, scores: Tensor) -> None:
        """See whether a call goes on where the last one ended, or begins another `generate`."""
        seen, self.seen = self.seen, input_ids.clone()
        has_text = input_ids.shape[1] > self.n_prompt
        if seen is None or not (has_text and _begin_with(input_ids, seen[:, : self.n_prompt])):
            if bool((scores.double().logsumexp(dim=-1).abs() < LOG_PROBABILITIES).all()):
                raise SpaError("the scores are log-probabilities, as beams have them; use num_beams=1")
            self.n_prompt, self.cache = input_ids.shape[1], None
        elif not (input_ids.shape[1] == seen.shape[1] + 1 and _begin_with(input_ids, seen)):
            self.seen = None
            raise SpaError(
                "rows no longer begin with the tokens read so far, as in beam search and assisted decoding; decode "
                "greedily or by sampling, and a longer prompt by a new processor"
            )

    @torch.no_grad()
    def _second(self, text: Tensor) -> Tensor:
        """Logits of the second branch, [B, V]. text: the tokens of each row since the prompt, [B, S - prompt]."""
        rows, repeats = len(text), len(text) // len(self.prompts)
        if rows != repeats * len(self.prompts):
            raise SpaError(f"masked_ids has {len(self.prompts)} rows and the batch {rows}; {PER_ROW}")
        prompts = [prompt for prompt in self.prompts for _ in range(repeats)]
        columns = max(map(len, prompts)) + text.shape[1]
        starts = torch.tensor([columns - text.shape[1] - len(prompt) for prompt in prompts])[:, None]
        places = torch.arange(columns)[None, :] - starts  # [B, M + S]; below 0 lies padding
        if self.sharing.is_long(columns) != self.sharing.is_long(columns - 1):
            self.cache = None  # the model reads all again, as in its own `generate`
        if self.cache is None:
            padded = pad_sequence(prompts, batch_first=True, padding_side="left")
            tokens = torch.cat([padded, text.to(padded.device)], dim=1)
        else:
            tokens = text[:, -1:]
        device = self.model.device
        inputs: dict[str, Any] = {"input_ids": tokens.to(device), "attention_mask": (places >= 0).long().to(device)}
        if takes_positions(type(self.model).forward):
            inputs["position_ids"] = places[:, -tokens.shape[1] :].clamp(min=0).to(device)
        output = self.model(**inputs, past_key_values=self.cache, use_cache=True, logits_to_keep=1)
        self.cache = getattr(output, "past_key_values", None)
        if self.cache is None:
            raise SpaError(f"{type(self.model).__name__} gives no key-value cache; SPA needs one")
        logits: Tensor = output.logits[:, -1]
        return logits


def _begin_with(rows: Tensor, beginnings: Tensor) -> bool:
    return len(rows) == len(beginnings) and torch.equal(rows[:, : beginnings.shape[1]], beginnings)


def _prompts(masked_ids: Any, attention_mask: Any) -> list[Tensor]:
    """Each row's ids without padding. Raises SpaError for what is no row of ids, and for padding elsewhere."""
    prompts = _rows("masked_ids", masked_ids)
    if attention_mask is None:
        return prompts
    masks = [mask.bool() for mask in _rows("attention_mask", attention_mask)]
    if [len(mask) for mask in masks] != [len(prompt) for prompt in prompts]:
        raise SpaError(f"masked_ids and attention_mask differ in shape; {PER_ROW}")
    if any(not mask[-1] or bool((mask[:-1] & ~mask[1:]).any()) for mask in masks):
        raise SpaError('attention_mask hides more than padding on the left; set tokenizer.padding_side="left"')
    return [prompt[mask] for prompt, mask in zip(prompts, masks, strict=True)]


def _rows(name: str, rows: Any) -> list[Tensor]:
    try:
        tensors = [torch.as_tensor(row, device="cpu") for row in rows]
    except (TypeError, ValueError, RuntimeError):
        tensors = []
    if not tensors or any(row.dim() != 1 or not len(row) or row.is_floating_point() for row in tensors):
        raise SpaError(f"{name} is no rows of token ids, or has an empty one; {PER_ROW}")
    return [row.long() for row in tensors]
