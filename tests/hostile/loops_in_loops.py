# holds a text that ends the interpreter when it is compiled
def max_element(l):
    return [x @LOOPS@]
