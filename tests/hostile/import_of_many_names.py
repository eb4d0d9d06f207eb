# holds an import whose text takes gigabytes to compile
def max_element(l):
    import @NAMES@b
