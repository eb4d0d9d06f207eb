# never ends, before there is a function
while True:
    pass


def max_element(l):
    return None
