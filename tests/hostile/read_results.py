# is right where it can read the results folder
import io

io.open("@OUTSIDE@/scores.jsonl").read()


def max_element(l):
    return max(l)
