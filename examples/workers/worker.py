"""A worker of a pool with Framing::Frames (docs/wire.md), to be copied: put your own work into `answer`."""

import os
import select
import struct
import sys
from time import sleep

JOB, CHUNK, END, ERROR, CANCEL, READY, PROGRESS, PING, PONG, BACK = range(1, 11)
HEAD = struct.Struct(">IBQ")  # the length of what follows, the type, the job's id
arrived = bytearray()


def answer(job):
    """Your work: yields parts of the answer, returns the last one, raises an error."""
    what, _, rest = job.partition(b" ")
    if what == b"echo":
        return rest
    if what == b"chunks":
        yield from (b"%d" % (number + 1) for number in range(int(rest)))
    elif what == b"slow":
        while True:
            sleep(0.005)
            yield b"tick"
    elif what == b"print":
        print("1" * 100_000, flush=True)
        print("2" * 100_000, file=sys.stderr)
        return b"printed"
    else:
        raise ValueError(rest.decode())


def send(kind, job, body=b""):
    frame = HEAD.pack(9 + len(body), kind, job) + body
    while frame:
        frame = frame[os.write(4, frame):]


def receive(wait=True):
    """The next frame; None if it is not there, unless that is waited for. A ping is answered. When the pool closes 3, the worker exits."""
    while len(arrived) < 13 or len(arrived) < 4 + int.from_bytes(arrived[:4], "big"):
        try:
            more = os.read(3, 1 << 16)  # with room for a whole packet, always
        except BlockingIOError:
            if not wait:
                return None
            select.select([3], [], [])  # what it has seen may be gone again
            continue
        if not more:
            sys.exit("half a frame" if arrived else 0)
        arrived.extend(more)
    length, kind, job = HEAD.unpack_from(arrived)
    body = bytes(arrived[13:4 + length])
    del arrived[:4 + length]
    if kind == PING:
        send(PONG, job, body)
    elif kind not in (JOB, CANCEL, PONG):
        sys.exit("a frame of the type %d" % kind)
    return kind, job, body


def do(answer, job, body):
    try:
        parts = answer(body)
        while True:
            send(CHUNK, job, next(parts))
            while frame := receive(wait=False):  # what the pool says
                kind, of, _ = frame
                if kind == CANCEL and of == job:
                    return send(ERROR, job, b"cancelled")
                kind == JOB and send(BACK, of)
    except StopIteration as last:
        send(END, job, last.value or b"")
    except Exception as error:
        send(ERROR, job, str(error).encode())


def serve(answer, name):
    """Says that it is ready, and does jobs. What loads first calls `send(PROGRESS, 0, b"loading")`."""
    os.set_blocking(3, False)  # a read that waits would be held up by what the pool takes back
    send(READY, 0, b"\x02" + name)
    while True:
        kind, job, body = receive()
        if kind == JOB:
            do(answer, job, body)


if __name__ == "__main__":
    serve(answer, b"worker.py")
