"""What a stop rule leaves of a text that comes in pieces."""

from spa.decoding.stopping import StopRule


def end(rule: StopRule, pieces: list[str]) -> str | None:
    """The kept text, or None where the rule never stops."""
    text = ""
    for piece in pieces:
        text += piece
        rule, cut = rule.feed(piece)
        if cut is not None:
            return text[:cut]
    return None
