"""What is wrong with a solution, as far as its text alone shows it.

To compile a text can take gigabytes, or end the interpreter: nothing outside a sandbox does it.
"""

import symtable
import warnings


def fault(solution: str, entry_point: str) -> str:
    """ "syntax_error", "no_entry_point" or nothing; the text is not executed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the solution: invalid escapes and the like
            compile(solution, "<solution>", "exec", dont_inherit=True)
            top_level = symtable.symtable(solution, "<solution>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # NUL bytes, lone surrogates, too deep, too large
        return "syntax_error"
    bound = {symbol.get_name() for symbol in top_level.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    return "" if entry_point in bound else "no_entry_point"
