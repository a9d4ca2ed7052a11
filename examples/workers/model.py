"""A model, as far as a pool can tell: it loads for two seconds, answers word by word, and a prompt with `crash` in it kills it.
A job is JSON: {"prompt": TEXT, "words": COUNT}. The frames are those of worker.py, which is beside this file."""

import json
import os
import sys
from time import sleep

from worker import PROGRESS, send, serve

WORDS = "the quick brown fox jumps over the lazy dog and goes on".split()


def load():
    for layer in range(4):
        sleep(0.5)
        send(PROGRESS, 0, b"layer %d of 4" % (layer + 1))


def answer(job):
    job = json.loads(job)
    if "crash" in job["prompt"]:
        print("a word that this model cannot bear", file=sys.stderr, flush=True)
        os.abort()
    for number in range(job["words"]):
        sleep(0.02)
        yield (WORDS[number % len(WORDS)] + " ").encode()


load()
serve(answer, b"model")
