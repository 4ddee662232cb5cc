"""`python -m unlost` is `unlost`."""

import sys

from unlost.cli import main

sys.exit(main())
