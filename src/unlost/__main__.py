"""`python -m unlost` is `unlost`."""

import os
import sys

if sys.path[:1] == [os.getcwd()]:  # noqa: PTH109  pathlib is not imported yet, and must not be
    del sys.path[0]  # -m puts it there, and a file may have the name of a module of ours

from unlost.cli import main

sys.exit(main())
