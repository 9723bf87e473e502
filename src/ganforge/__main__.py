"""``python -m ganforge`` is the command ``ganforge``."""

import sys

from ganforge.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
