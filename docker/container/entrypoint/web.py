"""Daphne, which answers the requests that it has when it is asked to end.

Daphne alone cancels them, and takes new ones until it is gone.
"""

import logging
import os
import sys
import threading

from daphne.cli import CommandLineInterface
from daphne.http_protocol import WebRequest
from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import defer, reactor

from entrypoint.messages import finishing_seconds, is_json, say

access = logging.getLogger("access")

# A client that knows this code connects again, to another container: "service restart".
SERVICE_RESTART = 1012

# A client answers the closing of its WebSocket; then its consumer may tidy up.
GOODBYE_SECONDS = 1

# How often it is looked whether all is done.
TURN_SECONDS = 0.05


def log_access(protocol, action, details):
    """What Daphne calls for whatever happens (its `action_logger`); its own prints lines of text."""
    if action not in ("complete", "rejected", "connected", "disconnected"):
        return
    fields = {name: details[name] for name in ("status", "size", "client") if name in details}
    if "time_taken" in details:
        fields["seconds"] = round(details["time_taken"], 3)
    words = (details.get("method") or f"{protocol} {action}", details["path"], fields.get("status"))
    access.info(" ".join(str(word) for word in words if word is not None), extra=fields)


class FinishingServer(Server):
    def __init__(self, *arguments, **options):
        if is_json():
            options["action_logger"] = log_access
        super().__init__(*arguments, **options)
        self.ports = []
        self.ending = False
        # Their answers may still be on the way when their requests are done.
        self.transports = []
        self.failed = False

    def listen_success(self, port):
        self.ports.append(port)
        super().listen_success(port)

    def listen_error(self, failure):
        self.failed = True
        super().listen_error(failure)

    def create_application(self, protocol, scope):
        if self.ending and isinstance(protocol, WebRequest):
            self.close_after(protocol)
        return super().create_application(protocol, scope)

    def kill_all_applications(self):
        """Twisted calls it before it ends, and waits for what it returns."""
        self.ending = True
        for port in self.ports:
            port.stopListening()
        for request in self.requests():
            self.close_after(request)
        for protocol in self.websockets():
            if protocol.state == protocol.STATE_OPEN:
                # Autobahn's own `sendClose` takes none of the standard's codes but 1000.
                protocol.sendCloseFrame(code=SERVICE_RESTART)
        self.goodbye_end = reactor.seconds() + GOODBYE_SECONDS
        finished = defer.Deferred()
        self.finish(finished, reactor.seconds() + finishing_seconds())
        return finished

    def requests(self):
        """Those without an answer. One that became a WebSocket is among the disconnected."""
        return [
            protocol
            for protocol, details in self.connections.items()
            if isinstance(protocol, WebRequest) and "disconnected" not in details
        ]

    def websockets(self):
        """Those whose consumer runs."""
        return [
            protocol
            for protocol, details in self.connections.items()
            if isinstance(protocol, WebSocketProtocol)
            and "application_instance" in details
            and not details["application_instance"].done()
        ]

    def close_after(self, request):
        """No further request comes over its connection."""
        if request.channel is not None:
            request.channel.persistent = False
            self.transports.append(request.channel.transport)

    def unfinished(self):
        if reactor.seconds() < self.goodbye_end and self.websockets():
            return len(self.websockets())
        return len(self.requests()) or sum(bool(each.connected) for each in self.transports)

    def finish(self, finished, end):
        left = self.unfinished()
        if left and reactor.seconds() < end:
            reactor.callLater(TURN_SECONDS, self.finish, finished, end)
            return
        if left:
            say(f"requests that weren't done in time: {left}")
        for details in self.connections.values():
            if "application_instance" in details:
                details["application_instance"].cancel()
        # One turn of the loop, in which they see that they are cancelled.
        reactor.callLater(TURN_SECONDS, finished.callback, None)


def main():
    CommandLineInterface.server_class = FinishingServer
    interface = CommandLineInterface()
    interface.run(sys.argv[1:])
    # Python would wait for the thread of a view that was given up.
    last = threading.Timer(1, os._exit, [143])
    last.daemon = True
    last.start()
    return 1 if interface.server.failed else 0
