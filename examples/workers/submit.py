"""Jobs for the hosts of the example `node`, from Python: submits N jobs, waits for their results, and says what became of them.

    python3 submit.py nats://127.0.0.1:4222 100

It needs nats-py. The headers are in docs/nats.md.
"""

import asyncio
import sys

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy


async def submit(jetstream, number):
    headers = {"Nats-Msg-Id": f"py-{number}", "Job-Expires": "60000", "Job-Timeout": "10000"}
    if number == 0:
        headers["Job-Priority"] = "urgent"
    # The answer is the stream's: it has the job. Without one it is safe to publish again, for the id.
    await jetstream.publish("jobs.convert", f"echo {number}".encode(), headers=headers)
    return f"py-{number}"


async def main(server, count):
    client = await nats.connect(server)
    jetstream = client.jetstream()
    # A consumer of one's own has all results from now on.
    config = ConsumerConfig(deliver_policy=DeliverPolicy.NEW)
    results = await jetstream.subscribe("results.convert", config=config, ordered_consumer=False)
    waiting = {await submit(jetstream, number) for number in range(count)}
    right = 0
    while waiting:
        message = await results.next_msg(timeout=30)
        await message.ack()
        job = message.headers["Job-Id"]
        if job in waiting:
            waiting.remove(job)
            answer = job.removeprefix("py-").encode()
            right += message.headers["Job-Status"] == "ok" and message.data == answer
    print(f"{right} of {count} jobs have their right result")
    await client.close()
    return 0 if right == count else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("submit.py SERVER JOBS")
    sys.exit(asyncio.run(main(sys.argv[1], int(sys.argv[2]))))
