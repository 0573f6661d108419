"""`python -m trainwell` is the command `trainwell`."""

import sys

from trainwell.cli.main import main

sys.exit(main())
