# overflows the stack
import sys

sys.setrecursionlimit(10**9)


def max_element(l):
    return [max_element([item]) for item in l]
