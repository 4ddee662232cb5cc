"""`python -m unlost` is `unlost`."""

import sys

if not sys.flags.safe_path:
    del sys.path[0]  # the working directory, where a file may have the name of a module of ours

from unlost.cli import main

sys.exit(main())
