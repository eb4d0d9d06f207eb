"""Decoding speed, side by side in one run: transformers' batched generate, our plain decoding, SPA, a grid.

Every side gets the same prompts, model, threads and number of new tokens; rounds are interleaved, medians compared.
"""

import argparse

from spa.errors import one_line_errors


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=8, help="HumanEval tasks to decode (default 8)")
    parser.add_argument("--new-tokens", type=int, default=48, help="tokens to generate for each (default 48)")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds, of which the median (default 3)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all that this process may use)")
    arguments = parser.parse_args()
    from spa.bench import compare

    print(compare(arguments.tasks, arguments.new_tokens, arguments.rounds, arguments.threads))


if __name__ == "__main__":
    main()
