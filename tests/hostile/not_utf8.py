# holds bytes that are no UTF-8
name = 'ÿþ'


def max_element(l):
    return None
