"""Loaded by every Python process that has this directory on its PYTHONPATH: spoils relay as RELAY_SABOTAGE says.

Nothing of this is known to the product. A test runs the relay so and demands that the checker objects.
"""

import os

if wanted := os.environ.get("RELAY_SABOTAGE"):
    import spoiled

    spoiled.SPOILS[wanted]()
