"""Runs commands joined by pipes and tells what the whole took, imports included, as one line of JSON: timed.py <command…> [ '|' <command…> ]"""

import json
import resource
import subprocess
import sys
import time

commands = [[]]
for word in sys.argv[1:]:
    if word == "|":
        commands.append([])
    else:
        commands[-1].append(word)
since = time.monotonic()
children = []
before = None
for command in commands:
    out = sys.stderr if command is commands[-1] else subprocess.PIPE
    child = subprocess.Popen(command, stdin=before, stdout=out)
    if before is not None:
        before.close()
    before = child.stdout
    children.append(child)
codes = [child.wait() for child in children]
seconds = time.monotonic() - since
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(
    json.dumps(
        {
            "failed": any(codes),
            "seconds": seconds,
            "cpuSeconds": used.ru_utime + used.ru_stime,
            "peakMb": used.ru_maxrss / 1024,
        }
    )
)
