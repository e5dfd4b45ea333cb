"""One budget of time for everything that a container waits for before its service starts."""

import queue
import threading
import time

from entrypoint.messages import Refusal, number, reason_of, say

# A slow answer is an answer; a lost packet is asked for again after 1 and 3 seconds.
ATTEMPT_SECONDS = 5

# Too short for an answer: such an attempt would only hide the reason of the one before.
BRIEF_SECONDS = 0.1

# A migration may take hours.
SAY_AGAIN_SECONDS = 30


class InProgress(Exception):
    """Another container works on it: no budget limits that, and ours begins anew when it ends."""


class Patience:
    def __init__(self):
        self.interval = number("WAIT_INTERVAL", 2)
        self.seconds = int(number("WAIT_ATTEMPTS", 30)) * self.interval
        self.end = time.monotonic() + self.seconds
        self.said = float("-inf")

    def left(self):
        return max(0.0, self.end - time.monotonic())

    def wait_for(self, what, attempt, hopeless, temporary):
        """Calls `attempt` every WAIT_INTERVAL seconds until it works or the budget is spent.

        An error that waiting can't mend ends the container at once. It is tried at least once.
        """
        limit = max(ATTEMPT_SECONDS, self.interval)
        reason = None
        while True:
            start, left = time.monotonic(), self.left()
            if reason and left < BRIEF_SECONDS:
                raise Refusal(f"gave up waiting for {what} after {self.seconds:g} s: {reason}")
            try:
                return within(limit if left < BRIEF_SECONDS else min(left, limit), attempt)
            except (*temporary, TimeoutError) as error:
                if hopeless(error):
                    raise Refusal(f"{what} refuses: {reason_of(error)}") from None
                reason = reason_of(error)
                if isinstance(error, InProgress):
                    self.wait_for_progress(what, reason)
                    reason = None
                    continue
            left = self.left()
            pause = min(max(0, start + self.interval - time.monotonic()), left)
            if left - pause >= BRIEF_SECONDS:
                say(f"waiting for {what}, {round(left, 1):g} s left: {reason}")
            time.sleep(pause)

    def wait_for_progress(self, what, reason):
        if time.monotonic() - self.said >= SAY_AGAIN_SECONDS:
            say(f"waiting for {what}: {reason}")
            self.said = time.monotonic()
        time.sleep(max(self.interval, 0.1))
        self.end = time.monotonic() + self.seconds


def within(seconds, function):
    """What the function returns, or TimeoutError when it hasn't after so many seconds.

    It runs in a thread, which is left behind then: a name server or a host that drops packets
    can hold it where neither its own timeout nor a signal reaches.
    """
    answers = queue.SimpleQueue()

    def run():
        try:
            answers.put((function(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer in {round(seconds, 1):g} s") from None
    if error is not None:
        raise error
    return result
