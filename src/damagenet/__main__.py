"""`python -m damagenet` equals `damagenet`."""

from damagenet.cli import main

raise SystemExit(main())
