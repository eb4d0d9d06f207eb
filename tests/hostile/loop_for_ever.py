# never ends, and catches what would end it
def max_element(l):
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
