"""What the peers' servers share: the sizes of the models, and the protocol."""
import json
import sys
import time

HIDDEN, INNER, HEADS, VOCABULARY = 4096, 11008, 32, 32000
VISION = {"width": 1024, "heads": 16, "patch": 14, "size": 336, "blocks": 23}


def serve(works, facts):
    """Prints `facts`, then for each line `NAME NUMBER...` of standard input the seconds that works[NAME](NUMBER...) took, until it ends."""
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        name, *numbers = line.split()
        begin = time.perf_counter()
        works[name](*map(int, numbers))
        print(time.perf_counter() - begin, flush=True)
