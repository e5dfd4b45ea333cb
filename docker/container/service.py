"""The first process of a container with a role: it prepares, then becomes the service itself.

python service.py ROLE [COMMAND WORD...]

Small, because a script is compiled at each start and a module isn't.
"""

import sys

from entrypoint.start import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
