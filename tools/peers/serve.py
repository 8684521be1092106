"""Runs a command in this process's own group until standard input closes, which also happens when the caller dies; then ends the whole group.

Usage: serve.py COMMAND [ARGUMENT...]
"""

import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 4


def main() -> int:
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)

    def end() -> None:
        if os.name == "nt":
            subprocess.run(["taskkill", "/pid", str(child.pid), "/t", "/f"], capture_output=True, check=False)
            return
        os.killpg(0, signal.SIGTERM)
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        os.killpg(0, signal.SIGKILL)  # grandchildren that outlive the child, and this process with them

    def watch() -> None:
        while os.read(0, 4096):
            pass
        end()

    signal.signal(signal.SIGTERM, lambda *_: None)  # this process goes last
    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    if os.name != "nt":
        os.killpg(0, signal.SIGTERM)
    return code if code >= 0 else 128 - code


os._exit(main())  # the thread still waits for standard input
