"""OpenStack Swift with its S3 interface in one process: a proxy before one account, container and object server.

Usage: swiftServer.py FOLDER PORT
FOLDER has swift.conf, a .conf for each of the four servers, and the empty folder `disk`. Only the S3 interface has the port.
Swift's functional tests run it in one process too. It has no child processes, so the end of this one is the end of all.
"""

import sys
from array import array

import eventlet
from eventlet import wsgi

eventlet.hubs.use_hub("poll")
eventlet.monkey_patch()

from swift.common import utils

folder, port = sys.argv[1], int(sys.argv[2])
# Before other modules read /etc/swift.
utils.set_swift_dir(folder)

from swift.common.http_protocol import SwiftHttpProtocol
from swift.common.ring import RingData
from swift.common.utils.logs import NullLogger
from swift.common.wsgi import loadapp


def listen(port=0):
    return eventlet.listen(("127.0.0.1", port), backlog=512)


def serve(socket, app):
    # The SDKs want `ETag`, not `Etag`.
    wsgi.server(socket, app, NullLogger(), protocol=SwiftHttpProtocol, capitalize_response_headers=False)


storage = {name: listen() for name in ("account", "container", "object")}
for name, socket in storage.items():
    device = {"id": 0, "region": 1, "zone": 1, "weight": 1.0, "device": "disk"}
    device.update(ip="127.0.0.1", port=socket.getsockname()[1])
    # One replica, two partitions, both on the one device.
    RingData([array("H", [0, 0])], [device], 31).save(f"{folder}/{name}.ring.gz")
for name, socket in storage.items():
    eventlet.spawn(serve, socket, loadapp(f"{folder}/{name}.conf"))
proxy = loadapp(f"{folder}/proxy.conf")
# Whoever can connect finds a server that is ready.
serve(listen(port), proxy)
