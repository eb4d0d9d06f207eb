"""A text as it comes, piece by piece: what no later token and no stop rule can take back."""

from collections.abc import Iterator

from spa.decoding.engine import Engine
from spa.decoding.lanes import Request
from spa.decoding.stopping import (
    ClosedBlock,
    FirstOf,
    KeepPiece,
    LineLimit,
    MarkedBlock,
    NeverStop,
    StopRule,
    StopStrings,
    TextStream,
    TopLevelCount,
    TopLevelLine,
)


def pieces(engine: Engine, request: Request) -> Iterator[str]:
    """Decode one request of one omega; the pieces, none of them empty, join to its completion."""
    stream = TextStream.after(request.original_ids, engine.detokenize)
    text, given, n_read = "", 0, 0
    for ended in engine.passes([request]):
        certain = given
        for lane in engine.lanes:
            for token in lane.tokens[n_read:]:
                stream, piece = stream.push(token)
                text += piece
            n_read = len(lane.tokens)
            certain = n_certain(lane.stop, len(text))
        for done in ended:
            text, certain = done.completion, len(done.completion)
        if certain > given:
            yield text[given:certain]
            given = certain


def n_certain(rule: StopRule, length: int) -> int:
    """How many characters of a text no cut can take back. rule: after all `length` characters were fed to it."""
    match rule:
        case NeverStop() | KeepPiece() | LineLimit() | MarkedBlock():  # they cut within what comes, or behind it
            return length
        case StopStrings() | ClosedBlock() | TopLevelLine() | TopLevelCount():  # or from their offset on
            return max(rule.offset, 0)
        case FirstOf():
            return min(n_certain(each, length) for each in rule.rules)
    return 0  # of another rule nothing is known
