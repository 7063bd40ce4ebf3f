"""`python -m tools.evaluate`."""

import signal
import sys

from .command import main

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # lets go of the lock and of workers
    sys.exit(main())
