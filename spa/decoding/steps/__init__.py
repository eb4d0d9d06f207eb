"""A decoding step, from the tokens that lanes chose last to those they choose next, in shapes that a GPU can replay."""
