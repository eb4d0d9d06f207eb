# prints and returns very much
def max_element(l):
    for _ in range(100):
        print("x" * 10**6)
    return "x" * 10**8
