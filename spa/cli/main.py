"""The command `spa`: one subcommand for each module here that is named in COMMANDS."""

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

COMMANDS = {
    "run": "one cell or a sweep: generate, score, tables and figures",
    "attention": "how attention to the prompt dilutes in one cell, plain and with SPA",
    "plan": "what a run would cost: cells, tokens, hours, memory",
    "fetch": "bring models, data and expected outputs here; then runs need no network",
    "status": "what is done, running, failed or missing",
    "score": "score runs, or anyone's samples",
    "report": "tables, figures and the page of results folders",
    "export": "results as Parquet tables",
    "pack": "compress results where they lie",
    "replay": "decode stored samples again with transformers alone, and compare",
    "doctor": "is this machine fit to score?",
    "architectures": "every model type of transformers beside its own decoding",
    "bench": "decoding speed beside transformers and the authors' package",
    "compare-scorers": "our scorer beside evalplus as it is released",
    "scale": "what very many cells cost",
    "documents": "write README.md and docs/ of a checkout anew",
}


def main() -> None:
    """Run the subcommand that is named first, with the arguments that follow."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name == "--version":
        print(f"spa {version('spa')}")
    elif name in ("-h", "--help"):
        listed = "\n".join(f"  {command:<17}{text}" for command, text in COMMANDS.items())
        print(f"usage: spa COMMAND [ARGUMENT ...]\n\n{listed}\n\n`spa COMMAND --help` says more; `spa --version`")
    elif name == "-sc":
        _complete(arguments)
    elif name in COMMANDS:
        sys.argv = [f"spa {name}", *arguments]
        importlib.import_module(f"spa.cli.{name.replace('-', '_')}").main()
    else:
        print(f"error: there is no command {name}; choose one of: {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)


def _complete(arguments: Sequence[str]) -> None:
    """What a shell asks for to complete a line: a command's name, or what Hydra knows of the keys behind it."""
    program, *words = os.environ.get("COMP_LINE", "spa").split(" ")
    if len(words) == 1:
        print("\n".join(COMMANDS))
        return
    os.environ["COMP_LINE"] = " ".join([program, *words[1:]])
    sys.argv = ["spa", "-sc", *arguments]
    importlib.import_module("spa.cli.run").main()


if __name__ == "__main__":
    main()
