"""moto's server: SQS, and much else, in memory.

Usage: motoServer.py FOLDER PORT
"""

import sys
import types

# What lets pages of other origins ask it. Debian's package does not bring it along, and nobody here needs it.
cors = types.ModuleType("flask_cors")
cors.CORS = lambda app: None
sys.modules["flask_cors"] = cors

from moto.server import main

main(["-H", "127.0.0.1", "-p", sys.argv[2]])
