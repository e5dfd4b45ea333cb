"""Asks web containers from inside their network: a line of JSON for each question and each answer."""

import json
import socket
import sys

# Frames by their number (RFC 6455, section 5.2).
TEXT, CLOSE = 1, 8


def exactly(stream, count):
    data = stream.read(count)
    if len(data) < count:
        raise EOFError("the connection was closed")
    return data


def message(stream):
    """The first text message of a WebSocket; a server's frames are never masked."""
    while True:
        first, length = exactly(stream, 2)
        if length > 125:
            length = int.from_bytes(exactly(stream, 2 if length == 126 else 8), "big")
        data = exactly(stream, length)
        if first & 0x0F == TEXT:
            return data
        if first & 0x0F == CLOSE:
            raise EOFError("the WebSocket was closed")


def asked(question):
    place = (question["host"], question["port"])
    with (
        socket.create_connection(place, question["limit"]) as connection,
        connection.makefile("rb") as stream,
    ):
        connection.sendall(question["request"].encode())
        if not question["message"]:
            return {"answer": stream.read().decode(errors="replace")}
        head = stream.readline()
        while not head.endswith(b"\r\n\r\n") and (line := stream.readline()):
            head += line
        if head.split(b" ")[1:2] != [b"101"]:
            return {"answer": head.decode(errors="replace")}
        return {"message": message(stream).decode(errors="replace")}


print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    try:
        found = asked(json.loads(line))
    except (OSError, EOFError) as error:
        found = {"error": str(error)}
    print(json.dumps(found), flush=True)
