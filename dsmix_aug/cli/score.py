"""score"""


def add_arguments(parser): ...
def run(args):
    return 0
