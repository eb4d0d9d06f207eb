# answers with a gigabyte of text
def max_element(l):
    return "x" * 10**9
