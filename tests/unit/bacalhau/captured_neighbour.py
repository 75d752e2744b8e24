Table = dict


def double(data):
    return data * 2
